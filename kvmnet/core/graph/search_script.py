"""The script of a page: a search by keyboard, and the connections of the box that the reader points at.

It reads what it finds from the page itself, and puts texts into it as text, never as markup.
"""

SEARCH_SCRIPT = r"""
(function () {
  "use strict";
  var LIMIT = 50;
  var boxes = Array.from(document.querySelectorAll(".picture .box"));
  var items = Array.from(document.querySelectorAll("tr[data-find]")).map(function (row) {
    var lines = Array.from(row.querySelectorAll("td > div")).map(function (line) { return line.textContent; });
    return { element: row, title: row.dataset.find, lines: lines };
  }).concat(boxes.map(function (box) {
    var place = box.closest("section").querySelector("h2").textContent;
    var label = box.getAttribute("aria-label").split("; ");
    return { element: box, title: label[0], lines: label.slice(1), place: "in the picture of " + place };
  }));
  items.forEach(function (item) { item.text = [item.title].concat(item.lines).join("\n").toLowerCase(); });

  var holder = document.getElementById("search");
  var input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Search: host, guest, address, VLAN (press /)";
  input.setAttribute("aria-label", "Search for a host, guest, address or VLAN");
  input.setAttribute("aria-controls", "search-results");
  input.autocomplete = "off";
  var list = document.createElement("ul");
  list.id = "search-results";
  list.hidden = true;
  var status = document.createElement("p");
  status.className = "status";
  status.setAttribute("role", "status");
  holder.append(input, status, list);

  function find(text) {
    var words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) { return []; }
    var found = items.filter(function (item) {
      return words.every(function (word) { return item.text.includes(word); });
    });
    var whole = text.trim().toLowerCase();
    function rank(item) {
      var pieces = item.text.split(/[\s,;:\/]+/), name = item.title.toLowerCase();
      if (name.split(" ").slice(1).join(" ").replace(/ \(\w+\)$/, "") === whole) { return 0; }
      if (name.includes(whole)) { return 1; }
      return pieces.includes(whole) || item.lines.some(function (l) { return l.toLowerCase() === whole; }) ? 2 : 3;
    }
    return found.map(function (item, index) { return [rank(item), index, item]; })
      .sort(function (a, b) { return a[0] - b[0] || a[1] - b[1]; })
      .map(function (row) { return row[2]; });
  }

  function show() {
    var found = find(input.value), words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    found.slice(0, LIMIT).forEach(function (item) {
      var link = document.createElement("a"), row = document.createElement("li");
      var line = item.lines.find(function (text) {
        return words.some(function (word) { return text.toLowerCase().includes(word); });
      });
      link.href = "#" + item.element.id;
      link.textContent = item.title + (line ? ": " + line : "") + (item.place ? ", " + item.place : "");
      link.addEventListener("click", function (event) { event.preventDefault(); go(item); });
      row.append(link);
      list.append(row);
    });
    list.hidden = !found.length;
    var more = found.length > LIMIT ? ", the first " + LIMIT + " are shown" : "";
    status.textContent = words.length ? found.length + (found.length === 1 ? " result" : " results") + more : "";
  }

  function go(item) {
    list.hidden = true;
    status.textContent = item.title;
    document.querySelectorAll(".hit").forEach(function (row) { row.classList.remove("hit"); });
    var target = item.element;
    if (target.classList.contains("box")) { target.setAttribute("tabindex", "-1"); }
    else { target.classList.add("hit"); }
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: "center", inline: "center" });
    history.replaceState(null, "", "#" + target.id);
  }

  function move(step) {
    var links = Array.from(list.querySelectorAll("a"));
    var next = links.indexOf(document.activeElement) + step;
    if (next < 0) { input.focus(); } else if (next < links.length) { links[next].focus(); }
  }

  input.addEventListener("input", show);
  input.addEventListener("focus", function () { if (input.value) { show(); } });
  holder.addEventListener("keydown", function (event) {
    if (event.key === "ArrowDown" && !list.hidden) { event.preventDefault(); move(1); }
    else if (event.key === "ArrowUp" && !list.hidden) { event.preventDefault(); move(-1); }
    else if (event.key === "Escape") { input.value = ""; show(); input.focus(); }
    else if (event.key === "Enter" && event.target === input) {
      event.preventDefault();
      var found = find(input.value);
      if (found.length) { go(found[0]); }
    }
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "/" && document.activeElement !== input && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
  document.addEventListener("click", function (event) {
    if (!holder.contains(event.target)) { list.hidden = true; }
  });

  function mark(box) {
    var picture = box.closest("svg"), seen = {}, paths = Array.from(picture.querySelectorAll(".connection"));
    function walk(id, from, to) {
      paths.forEach(function (path) {
        if (path.dataset[from] === id) {
          path.classList.add("near");
          var next = path.dataset[to];
          if (!seen[from + next]) { seen[from + next] = true; walk(next, from, to); }
        }
      });
    }
    walk(box.id, "from", "to");
    walk(box.id, "to", "from");
    box.classList.add("near");
    picture.querySelectorAll(".box").forEach(function (other) {
      if (seen["from" + other.id] || seen["to" + other.id]) { other.classList.add("near"); }
    });
    picture.querySelectorAll(".box, .connection").forEach(function (other) {
      if (!other.classList.contains("near")) { other.classList.add("dim"); }
    });
  }
  function clear(box) {
    box.closest("svg").querySelectorAll(".near, .dim").forEach(function (other) {
      other.classList.remove("near", "dim");
    });
  }
  boxes.forEach(function (box) {
    box.addEventListener("mouseenter", function () { clear(box); mark(box); });
    box.addEventListener("mouseleave", function () { clear(box); });
    box.addEventListener("focus", function () { clear(box); mark(box); });
    box.addEventListener("blur", function () { clear(box); });
  });
})();
"""
