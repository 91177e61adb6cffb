// Tables of boards: sorted by a click on a column's head, filtered by method.
"use strict";

{
  const value = (cell) => {
    const text = cell ? cell.textContent.trim().replace("−", "-") : "";
    const number = Number.parseFloat(text.replace(/,/g, ""));
    return Number.isNaN(number) ? text : number;
  };

  const less = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === typeof b) return a.localeCompare(b);
    return typeof a === "number" ? -1 : 1; // texts such as a dash are last
  };

  const sortBy = (table, column, head) => {
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a.cells[column]), value(b.cells[column])];
      if (typeof x !== typeof y) return less(x, y);
      return down ? less(y, x) : less(x, y);
    });
    body.append(...rows);
  };

  const openRow = () => {
    const row = location.hash.startsWith("#row-") && document.getElementById(location.hash.slice(1));
    if (row instanceof HTMLDetailsElement) {
      row.open = true;
      row.scrollIntoView();
    }
  };

  const begin = () => {
    for (const table of document.querySelectorAll("table.sortable")) {
      [...table.tHead.rows[0].cells].forEach((head, column) => {
        if (head.querySelector("a")) return; // it leads to a board's page
        const button = document.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => sortBy(table, column, head));
      });
    }
    for (const field of document.querySelectorAll("input.filter")) {
      field.addEventListener("input", () => {
        const wanted = field.value.trim().toLowerCase();
        for (const row of document.querySelectorAll("table.sortable tbody tr")) {
          row.hidden = !row.textContent.toLowerCase().includes(wanted);
        }
      });
    }
    openRow();
  };

  window.addEventListener("hashchange", openRow);
  document.addEventListener("DOMContentLoaded", begin);
}
