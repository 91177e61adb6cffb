"use strict";
// Without this script the page shows all it has; with it tables sort, tabs fold, methods hide.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  root.classList.add("js");

  // Theme: the system's, or the reader's choice.

  const themes = ["auto", "light", "dark"];
  const themeButton = make("button", { type: "button", className: "theme" });
  const setTheme = (name) => {
    if (name === "auto") delete root.dataset.theme;
    else root.dataset.theme = name;
    themeButton.textContent = `Theme: ${name}`;
  };
  themeButton.addEventListener("click", () => {
    const now = root.dataset.theme ?? "auto";
    setTheme(themes[(themes.indexOf(now) + 1) % themes.length]);
  });
  setTheme("auto");
  document.querySelector(".bar").append(themeButton);

  // Copying commands.

  const copied = make("span", { className: "unseen" });
  copied.setAttribute("aria-live", "polite");
  document.body.append(copied);

  const copyWithSelection = (text) => {
    const area = make("textarea", { value: text, readOnly: true, className: "unseen" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return copyWithSelection(text);
    }
  };
  const copyButton = (source, label, about) => {
    const button = make("button", { type: "button", className: "copy", textContent: label });
    button.setAttribute("aria-label", about);
    button.addEventListener("click", async () => {
      const done = await copy(source.textContent);
      if (!done) {
        source.closest("details")?.setAttribute("open", "");
        getSelection().selectAllChildren(source);
      }
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      copied.textContent = done ? "Copied" : "";
      setTimeout(() => { button.textContent = label; copied.textContent = ""; }, 1500);
    });
    return button;
  };
  for (const block of all(".code")) {
    block.append(copyButton(block.querySelector("code"), "Copy", "Copy the command"));
  }
  for (const row of all("tr[data-again]")) {
    const source = document.getElementById(row.dataset.again);
    const place = row.querySelector("th");
    if (source && place) {
      const about = `Copy the command of ${place.textContent.trim()}`;
      place.append(copyButton(source, "Copy", about));
    }
  }

  // Sorting: rows that are not ranked stay below, and what has no number comes last.

  const words = (cell) => (cell.querySelector("bdi") ?? cell).textContent.trim();
  const compare = (a, b, kind, sign) => {
    if (kind === "text") return sign * words(a).localeCompare(words(b));
    const [x, y] = [a, b].map((cell) => parseFloat(cell.dataset.key ?? "NaN"));
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  };
  const sortBy = (table, heads, column, direction) => {
    const body = table.tBodies[0];
    const { kind } = heads[column].dataset;
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...body.rows];
    rows.sort((a, b) => compare(a.cells[column], b.cells[column], kind, sign));
    body.append(...rows);
    heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? direction : "none"));
  };
  for (const table of all("table.sortable")) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 2) continue;
    const heads = all("thead tr:last-child th", table);
    heads.forEach((head, column) => {
      head.setAttribute("aria-sort", "none");
      const title = head.textContent.trim();
      const button = make("button", { type: "button", className: "sort" });
      if (head.querySelector("a")) { // a link stays one: the button stands beside it
        button.setAttribute("aria-label", `Sort by ${title}`);
        head.append(button);
      } else {
        button.append(...head.childNodes);
        head.append(button);
      }
      button.addEventListener("click", () => {
        const small = head.dataset.kind === "text" || title === "rank";
        const first = small ? "ascending" : "descending";
        const second = small ? "descending" : "ascending";
        const now = head.getAttribute("aria-sort");
        sortBy(table, heads, column, now === first ? second : first);
      });
    });
    if (heads[0].textContent.trim() === "rank") heads[0].setAttribute("aria-sort", "ascending");
  }

  // Tabs.

  all(".tabs").forEach((set, s) => {
    const panels = all(":scope > .panel", set);
    if (panels.length < 2) return;
    const list = make("div", { className: "tablist" });
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", set.dataset.label);
    const tabs = panels.map((panel, i) => {
      const tab = make("button", {
        type: "button", id: `tab-${s}-${i}`, textContent: panel.dataset.tab,
      });
      panel.id ||= `panel-${s}-${i}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panel.id);
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      return tab;
    });
    const show = (chosen) => tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === chosen));
      tab.tabIndex = i === chosen ? 0 : -1;
      panels[i].classList.toggle("off", i !== chosen);
    });
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    tabs.forEach((tab, i) => {
      tab.addEventListener("click", () => show(i));
      tab.addEventListener("keydown", (event) => {
        const step = steps[event.key];
        if (step === undefined) return;
        event.preventDefault();
        const last = tabs.length - 1;
        const next = Number.isFinite(step)
          ? (i + step + tabs.length) % tabs.length
          : step < 0 ? 0 : last;
        show(next);
        tabs[next].focus();
      });
    });
    list.append(...tabs);
    set.prepend(list);
    set.classList.add("tabbed");
    show(0);
  });

  // Methods: one switch for all pictures and tables.

  const hidden = new Set();
  const resets = [];
  const switches = [];
  const update = () => {
    for (const element of all("[data-method]")) {
      const out = hidden.has(element.dataset.method);
      const drawn = element.matches("g.method:not(.key)");
      element.classList.toggle("gone", out && drawn);
      element.classList.toggle("dim", out && !drawn);
    }
    for (const [button, method] of switches) {
      button.setAttribute("aria-pressed", String(!hidden.has(method)));
    }
    for (const reset of resets) reset.hidden = hidden.size === 0;
  };
  const toggle = (method) => {
    if (!hidden.delete(method)) hidden.add(method);
    update();
  };
  for (const legend of all(".legend")) {
    for (const item of all("li", legend)) {
      const button = make("button", { type: "button", title: "Show or hide this method" });
      button.append(...item.childNodes);
      item.append(button);
      button.addEventListener("click", () => toggle(item.dataset.method));
      switches.push([button, item.dataset.method]);
    }
    const reset = make("button", { type: "button", className: "reset", textContent: "Show all" });
    reset.addEventListener("click", () => { hidden.clear(); update(); });
    resets.push(reset);
    legend.append(make("li", {}, reset));
  }
  for (const key of all("svg .key[data-method]")) {
    key.addEventListener("click", () => toggle(key.dataset.method));
  }
  update();

  // Paper has no folds.

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const one of folded) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of folded) one.open = false;
  });
})();
