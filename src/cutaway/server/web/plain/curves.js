// The arithmetic of a chart: extents, round ticks, thinning, and the path through points.

/** The least and greatest value; widened where there is only one, null where there is none. */
export function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return null;
  if (low === high) {
    const half = Math.abs(low) * 0.05 || 0.5;
    return [low - half, high + half];
  }
  return [low, high];
}

/** About `count` round numbers within the extent, in order. */
export function ticks([low, high], count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
  const found = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) {
    found.push(Number((place * step).toPrecision(12)));
  }
  return found;
}

/** The powers of ten and their halves within a positive extent; thinner where there are many. */
export function logTicks([low, high], count) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of [1, 2, 5]) found.push(Number((factor * 10 ** power).toPrecision(3)));
  }
  const within = found.filter((each) => each >= low * 0.9999 && each <= high * 1.0001);
  if (within.length < 2) return ticks([low, high], count).filter((each) => each > 0);
  const every = Math.ceil(within.length / Math.max(2, count));
  return within.filter((_, place) => place % every === 0);
}

/** A function from values to places; `isLog` for a scale on which factors are distances. */
export function scale([low, high], [from, to], isLog = false) {
  const bend = isLog ? Math.log : (value) => value;
  const [begin, end] = [bend(low), bend(high)];
  return (value) => from + ((bend(value) - begin) / (end - begin)) * (to - from);
}

/** At most about `most` points: of each stretch the lowest and the highest, so that spikes stay. */
export function thin(points, most) {
  if (points.length <= most) return points;
  const size = Math.ceil(points.length / (most / 2));
  const kept = [];
  for (let begin = 0; begin < points.length; begin += size) {
    const stretch = points.slice(begin, begin + size);
    let [low, high] = [0, 0];
    stretch.forEach(([, y], place) => {
      if (y < stretch[low][1]) low = place;
      if (y > stretch[high][1]) high = place;
    });
    kept.push(stretch[Math.min(low, high)]);
    if (low !== high) kept.push(stretch[Math.max(low, high)]);
  }
  const last = points[points.length - 1];
  if (kept[kept.length - 1] !== last) kept.push(last);
  return kept;
}

/** The running mean that forgets by `share` at each point, without a bias towards the first. */
export function smooth(points, share) {
  let [sum, weight] = [0, 0];
  return points.map(([x, y]) => {
    sum = share * sum + (1 - share) * y;
    weight = share * weight + (1 - share);
    return [x, sum / weight];
  });
}

/** The `d` of a path through points; a value that is not finite leaves a gap. */
export function path(points, across, down) {
  let isDrawing = false;
  let drawn = "";
  for (const [x, y] of points) {
    const [left, top] = [across(x), down(y)];
    if (!Number.isFinite(left) || !Number.isFinite(top)) {
      isDrawing = false;
      continue;
    }
    drawn += `${isDrawing ? "L" : "M"}${left.toFixed(1)} ${top.toFixed(1)}`;
    isDrawing = true;
  }
  return drawn;
}

/** The point whose x is nearest, by halving; undefined where there is none. */
export function nearest(points, x) {
  let [low, high] = [0, points.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle;
    else high = middle;
  }
  if (high < 0) return undefined;
  return x - points[low][0] <= points[high][0] - x ? points[low] : points[high];
}
