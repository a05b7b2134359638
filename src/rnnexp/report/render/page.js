// The tools of the page: tables that sort, filter and hide columns, and the runs behind the points of figures.
// All texts are read from the page and written as text, so no name of a run can become markup.
"use strict";
(() => {
  const LEAST_ROWS = 5; // a shorter table needs no filter
  const LEAST_COLUMNS = 4;
  const MOST_COMMANDS = 1;
  const NOTHING = ["", "–"];
  const words = new Intl.Collator("en", { numeric: true });

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const textOf = (cell) => (cell ? cell.textContent.trim() : "");

  // "98.91 ± 0.12" and "1,234" and "< 0.001" begin with a number.
  const numberOf = (text) => {
    const found = text.replace(/(\d),(?=\d{3})/g, "$1").match(/^[<>]?\s*([+-]?\d+(\.\d+)?(e[+-]?\d+)?)/i);
    return found ? Number(found[1]) : NaN;
  };

  const compare = (a, b) => {
    const [x, y] = [numberOf(a), numberOf(b)];
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return x - y || words.compare(a, b);
  };

  const makeSortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const bodies = [...table.tBodies]; // in the order of the report, the best first
    const sort = (column) => {
      const before = heads[column].ariaSort;
      const order = before === "ascending" ? "descending" : before === "descending" ? "none" : "ascending";
      for (const head of heads) head.ariaSort = head === heads[column] ? order : "none";
      if (order === "none") return table.append(...bodies);
      const sign = order === "ascending" ? 1 : -1;
      const keyed = bodies.map((body) => [textOf(body.rows[0].cells[column]), body]);
      const empty = keyed.filter(([key]) => NOTHING.includes(key)); // always last
      const full = keyed.filter(([key]) => !NOTHING.includes(key)).sort(([a], [b]) => sign * compare(a, b));
      table.append(...[...full, ...empty].map(([, body]) => body));
    };
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
      button.addEventListener("click", () => sort(column));
      head.append(button);
      head.ariaSort = "none";
    });
  };

  // A row is shown if it has every word of the filter, and none that follows a "-".
  const matches = (body, wanted) => {
    const text = [...body.rows[0].cells].map(textOf).join(" ").toLowerCase();
    return wanted.every((word) => (/^-[^\d]/.test(word) ? !text.includes(word.slice(1)) : text.includes(word)));
  };

  const makeFilter = (table) => {
    const count = make("output");
    const input = make("input", { type: "search", placeholder: "filter rows", ariaLabel: "filter rows by words" });
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const body of table.tBodies) body.hidden = !matches(body, wanted);
      const shown = [...table.tBodies].filter((body) => !body.hidden).length;
      count.value = wanted.length ? `${shown} of ${table.tBodies.length} rows` : "";
    });
    return [input, count];
  };

  const makeColumns = (table) => {
    const menu = make("details", { className: "columns" }, make("summary", {}, "columns"));
    const list = make("div");
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const box = make("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        for (const row of table.rows) row.cells[column].hidden = !box.checked;
      });
      list.append(make("label", {}, box, ` ${textOf(head)}`));
    });
    menu.append(list);
    return menu;
  };

  const equip = (table) => {
    const [rows, columns] = [table.tBodies.length, table.tHead.rows[0].cells.length];
    const tools = make("div", { className: "tools" });
    if (rows >= LEAST_ROWS && columns > 2) tools.append(...makeFilter(table));
    if (columns >= LEAST_COLUMNS) tools.append(makeColumns(table));
    if (tools.childElementCount) table.parentElement.before(tools);
    if (rows > 1) makeSortable(table);
  };

  // The first cell of a run's row is its name, the last one its command.
  const describe = (point) => {
    const rows = point.dataset.runs.split(" ").map((name) => document.getElementById(name)).filter(Boolean);
    const lines = [make("strong", {}, point.ariaLabel)];
    rows.forEach((row, place) => {
      lines.push(make("div", {}, textOf(row.cells[0])));
      if (place < MOST_COMMANDS) lines.push(make("code", {}, textOf(row.cells[row.cells.length - 1])));
    });
    return lines;
  };

  const equipPoints = () => {
    const tip = make("div", { className: "tip", role: "tooltip", hidden: true });
    document.body.append(tip);
    const hide = () => { tip.hidden = true; };
    const show = (point) => {
      tip.replaceChildren(...describe(point));
      tip.hidden = false;
      const [spot, box] = [point.getBoundingClientRect(), tip.getBoundingClientRect()];
      const room = document.documentElement.clientWidth - box.width - 8;
      const left = Math.min(spot.left + spot.width / 2 - box.width / 2, room);
      const above = spot.top - box.height - 6;
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${above < 8 ? spot.bottom + 6 : above}px`;
    };
    for (const point of document.querySelectorAll("a.point")) {
      point.ariaLabel = point.title;
      point.removeAttribute("title"); // the tip replaces it
      // A second click does not change the address.
      point.addEventListener("click", () => openTarget(point.hash));
      for (const event of ["mouseenter", "focus"]) point.addEventListener(event, () => show(point));
      for (const event of ["mouseleave", "blur"]) point.addEventListener(event, hide);
    }
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    document.addEventListener("scroll", hide, { passive: true, capture: true });
  };

  // A link to a run opens the list that holds its row, and shows the row if a filter hides it.
  const openTarget = (hash) => {
    const target = document.getElementById(hash.slice(1));
    if (!target) return;
    const list = target.closest("details");
    if (list) list.open = true;
    const body = target.closest("tbody");
    if (body) body.hidden = false;
    target.scrollIntoView({ block: "center" });
  };

  document.querySelectorAll("main table").forEach(equip);
  equipPoints();
  window.addEventListener("hashchange", () => openTarget(location.hash));
  openTarget(location.hash);
})();
