"""The pure core: data in, data out. No clock, files, processes or network; never imports the shell."""
