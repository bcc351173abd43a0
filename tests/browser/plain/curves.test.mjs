// Laws of the charts' arithmetic.

import assert from "node:assert/strict";
import test from "node:test";

import {
  extent,
  logTicks,
  nearest,
  path,
  scale,
  smooth,
  thin,
  ticks,
} from "../../../src/cutaway/server/web/plain/curves.js";
import { numbers } from "./numbers.mjs";

test("an extent holds every finite value, and is never empty", () => {
  assert.deepEqual(extent([3, NaN, 1, Infinity, 2]), [1, 3]);
  assert.equal(extent([NaN]), null);
  const [low, high] = extent([5, 5]);
  assert.ok(low < 5 && high > 5);
});

test("ticks are round, evenly spaced and within the extent", () => {
  const draw = numbers(5);
  for (let round = 0; round < 500; round += 1) {
    const low = (draw(2000) - 1000) / (1 + draw(50));
    const high = low + (1 + draw(1000)) / (1 + draw(500));
    const found = ticks([low, high], 5);
    assert.ok(found.length >= 2 && found.length <= 12, `${low} ${high} ${found}`);
    assert.ok(found[0] >= low - 1e-6 && found.at(-1) <= high + 1e-6);
  }
});

test("on a logarithmic scale factors are distances", () => {
  const place = scale([1, 100], [0, 200], true);
  assert.ok(Math.abs(place(10) - 100) < 1e-9);
  assert.deepEqual(logTicks([1, 100], 9), [1, 2, 5, 10, 20, 50, 100]);
});

test("a thinned curve keeps its lowest, its highest and its last point", () => {
  const draw = numbers(6);
  const points = Array.from({ length: 10000 }, (_, x) => [x, draw(1000)]);
  points[777][1] = -5;
  points[4242][1] = 5000;
  const kept = thin(points, 400);
  assert.ok(kept.length <= 410);
  assert.ok(
    kept.includes(points[777]) && kept.includes(points[4242]) && kept.at(-1) === points.at(-1),
  );
  assert.deepEqual(
    kept,
    [...kept].sort(([one], [other]) => one - other),
  );
});

test("what never changes is smooth already, from its first point on", () => {
  assert.ok(
    smooth(
      [
        [0, 7],
        [1, 7],
        [2, 7],
      ],
      0.9,
    ).every(([, y]) => Math.abs(y - 7) < 1e-12),
  );
});

test("a value that is no number leaves a gap", () => {
  const same = (value) => value;
  assert.equal(
    path(
      [
        [0, 1],
        [1, NaN],
        [2, 3],
        [3, 4],
      ],
      same,
      same,
    ),
    "M0.0 1.0M2.0 3.0L3.0 4.0",
  );
});

test("the nearest point is the nearest", () => {
  const points = [0, 1, 4, 9, 16].map((x) => [x, 0]);
  for (let x = -2; x < 20; x += 0.3) {
    const best = Math.min(...points.map(([at]) => Math.abs(at - x)));
    assert.ok(Math.abs(Math.abs(nearest(points, x)[0] - x) - best) < 1e-9);
  }
  assert.equal(nearest([], 1), undefined);
});
