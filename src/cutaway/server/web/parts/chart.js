// A chart of lines in SVG: axes with round ticks, a cursor that tells the values, a table below.

import { extent, logTicks, nearest, path, scale, thin, ticks } from "../plain/curves.js";
import { format, say } from "../words/language.js";
import { h, s } from "./element.js";

const HEIGHT = 260;
const MARGIN = { left: 52, right: 12, top: 10, bottom: 30 };

/**
 * A figure. Each line is `{name, points, faint, colour}`, colours 1 to 6; `faint` are the points
 * behind a smoothed line. `width` is that of the place where it will stand.
 */
export function drawChart({ title, lines, width, isLog, across }) {
  const values = lines
    .flatMap(({ points, faint }) => [...points, ...(faint ?? [])])
    .map(([, y]) => y)
    .filter((y) => !isLog || y > 0);
  const xs = extent(lines.flatMap(({ points }) => points.map(([x]) => x)));
  const ys = extent(values);
  const head = h("figcaption", {}, title);
  if (!xs || !ys)
    return h("figure", { class: "chart" }, head, h("p", { class: "none" }, say("runs.empty")));
  const toX = scale(xs, [MARGIN.left, width - MARGIN.right]);
  const toY = scale(ys, [HEIGHT - MARGIN.bottom, MARGIN.top], isLog);
  const cursor = s("line", {
    class: "cursor",
    y1: MARGIN.top,
    y2: HEIGHT - MARGIN.bottom,
    x1: -9,
    x2: -9,
  });
  const told = h("p", { class: "chart-told", "aria-hidden": "true" });
  const svg = s(
    "svg",
    {
      class: "chart-lines",
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width,
      height: HEIGHT,
      role: "img",
      "aria-label": describe(title, lines),
    },
    drawAxes({ xs, ys, toX, toY, width, isLog }),
    lines.map((line) => drawLine(line, { toX, toY, width, isLog })),
    cursor,
  );
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x =
      xs[0] +
      ((((event.clientX - box.left) / box.width) * width - MARGIN.left) /
        (width - MARGIN.left - MARGIN.right)) *
        (xs[1] - xs[0]);
    const found = lines
      .map((line) => ({ line, point: nearest(line.points, x) }))
      .filter(({ point }) => point);
    if (found.length === 0) return;
    const place = toX(Math.max(xs[0], Math.min(xs[1], found[0].point[0])));
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    told.replaceChildren(
      h("span", {}, `${across} ${format.number(found[0].point[0], 4)}`),
      ...found.map(({ line, point }) =>
        h("span", { class: `key c${line.colour}` }, `${line.name} ${format.number(point[1], 4)}`),
      ),
    );
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("x1", -9);
    cursor.setAttribute("x2", -9);
    told.replaceChildren();
  });
  return h("figure", { class: "chart" }, head, svg, told, table(lines, across));
}

function drawAxes({ xs, ys, toX, toY, width, isLog }) {
  const bottom = HEIGHT - MARGIN.bottom;
  const down = (isLog ? logTicks : ticks)(ys, 5).map((value) => [
    s("line", {
      class: "grid",
      x1: MARGIN.left,
      x2: width - MARGIN.right,
      y1: toY(value),
      y2: toY(value),
    }),
    s("text", { class: "tick end", x: MARGIN.left - 8, y: toY(value) + 4 }, format.short(value)),
  ]);
  const along = ticks(xs, Math.max(2, Math.floor(width / 110))).map((value) =>
    s("text", { class: "tick middle", x: toX(value), y: bottom + 18 }, format.short(value)),
  );
  return s(
    "g",
    { "aria-hidden": "true" },
    down,
    along,
    s("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }),
  );
}

function drawLine({ points, faint, colour }, { toX, toY, width, isLog }) {
  const shown = (all) =>
    path(thin(isLog ? all.filter(([, y]) => y > 0) : all, width * 2), toX, toY);
  // Line styles differ too, so that colour is not the only carrier.
  return s(
    "g",
    {},
    faint ? s("path", { class: `line faint c${colour}`, d: shown(faint) }) : null,
    s("path", { class: `line c${colour} dash${colour}`, d: shown(points) }),
  );
}

function describe(title, lines) {
  const told = lines
    .filter(({ points }) => points.length > 0)
    .map(({ name, points }) =>
      say("runs.chart.line", {
        run: name,
        first: format.number(points[0][1]),
        last: format.number(points[points.length - 1][1]),
      }),
    );
  return say("runs.chart", { metric: title, description: told.join("; ") });
}

function table(lines, across) {
  const details = h("details", { class: "as-table" }, h("summary", {}, say("runs.table")));
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    const longest = lines.reduce(
      (most, line) => (line.points.length > most.points.length ? line : most),
      lines[0],
    );
    const every = Math.max(1, Math.floor(longest.points.length / 12));
    const rows = longest.points.filter(
      (_, place) => place % every === 0 || place === longest.points.length - 1,
    );
    const head = h(
      "tr",
      {},
      h("th", { scope: "col" }, across),
      lines.map(({ name }) => h("th", { scope: "col" }, name)),
    );
    const body = rows.map(([x]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, format.number(x, 5)),
        lines.map(({ points }) => h("td", {}, format.number(nearest(points, x)?.[1] ?? NaN, 4))),
      ),
    );
    details.append(
      h(
        "div",
        { class: "table-scroll", tabindex: 0 },
        h("table", {}, h("thead", {}, head), h("tbody", {}, body)),
      ),
    );
  });
  return details;
}
