"""What touches a host: nmstate, NetworkManager, links, udev, firewalld, systemd."""
