// Judging by keyboard: shows what the server says is next, and sends what the rater says about it.
// Nothing is kept here that the store does not have, but for a name and a draft that is being typed.
// What a model wrote becomes text nodes and nothing else.

const WORDS = {
  en: {
    title: "Judge answers", to_answers: "To the answers", theme: "Dark / light", other: "中文", welcome: "Which answer is better?",
    explained: "You see a question and answers in random order; who wrote them is not shown. Every judgement is stored at once, so you may close this page at any time. Some questions come twice.",
    name: "Your name, so that your judgements are told from those of others", begin: "Begin", asked: "Question", reasons: "Why? (if you like)", better: "Write a better answer",
    system: "Instruction: ", user: "User: ", assistant: "Assistant: ", answer: "Answer {0}", this: "This one is better", rank: "Rank it next", empty: "(says nothing)",
    tie: "Equally good", both_bad: "Both bad", all_bad: "All bad", skip: "Skip", undo: "Undo", verdicts: "Your judgement",
    hint_pair: "Press 1 or 2 for the better answer.", hint_rank: "Press the answers' numbers from the best to the worst; Backspace takes the last one back.",
    correct: "correct", clear: "clear", follows: "does what was asked", nonsense: "other is nonsense", wrong: "other is wrong",
    done: "{0} of {1}", left: "about {0} min left · {1} s each", writing: "Answers are still being written", waiting: "The first answers are being written. This page goes on by itself.",
    finished: "All judged. Thank you!", finished_text: "Everything is stored. You may close this page, or press u to take the last judgement back.",
    stored: "Stored: {0}", undone: "Taken back: {0}", nothing: "There is nothing to take back", early: "Read both answers first: {0} s more", change: "Change name ({0})",
    first: "chose the first place: {0} % of {1}", longer: "chose the longer answer: {0} % of {1}", oneself: "judged alike the second time: {0} % of {1}", biased: "(look again: half is expected)",
    lost: "The server does not answer; it is tried again. Nothing that was stored is lost.", failed: "No more answers are written: ", a: "1 is better", b: "2 is better", ranking: "ranking",
  },
  zh: {
    title: "评判回答", to_answers: "跳到回答", theme: "深色 / 浅色", other: "English", welcome: "哪个回答更好？",
    explained: "您会看到一个问题和几个顺序随机的回答，不显示由谁写成。每次评判都会立即保存，可以随时关闭页面。有些问题会出现两次。",
    name: "您的名字，用来区分不同的评判者", begin: "开始", asked: "问题", reasons: "理由（可选）", better: "写一个更好的回答",
    system: "指令：", user: "用户：", assistant: "助手：", answer: "回答 {0}", this: "这个更好", rank: "排在下一位", empty: "（什么也没说）",
    tie: "一样好", both_bad: "都不好", all_bad: "都不好", skip: "跳过", undo: "撤销", verdicts: "您的评判",
    hint_pair: "按 1 或 2 选出更好的回答。", hint_rank: "按从好到差的顺序依次按下编号；退格键取消上一个。",
    correct: "正确", clear: "清楚", follows: "照要求做了", nonsense: "另一个不知所云", wrong: "另一个错了",
    done: "{0} / {1}", left: "约剩 {0} 分钟 · 每题 {1} 秒", writing: "仍在生成回答", waiting: "正在生成第一批回答，页面会自动继续。",
    finished: "全部评完，谢谢！", finished_text: "全部已保存。可以关闭页面，或按 u 撤销上一次评判。",
    stored: "已保存：{0}", undone: "已撤销：{0}", nothing: "没有可撤销的评判", early: "请先读完回答：还需 {0} 秒", change: "更改名字（{0}）",
    first: "选择第一个位置：{1} 次中 {0} %", longer: "选择较长回答：{1} 次中 {0} %", oneself: "第二次判断一致：{1} 次中 {0} %", biased: "（请留意：应约为一半）",
    lost: "服务器没有响应，正在重试。已保存的不会丢失。", failed: "不再生成回答：", a: "1 更好", b: "2 更好", ranking: "排序",
  },
};
const REASONS = { q: "correct", w: "clear", f: "follows", d: "nonsense", g: "wrong" };
const ENOUGH = 20; // decided pairs from which a bias is told
const AGAIN = 1500; // milliseconds until the server is asked again

const at = (id) => document.getElementById(id);
const kept = {
  get: (name) => { try { return localStorage.getItem(`cutaway.${name}`); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(`cutaway.${name}`, value); } catch { /* a browser that keeps nothing */ } },
};
const now = { language: "en", rater: "", state: null, ranked: [], reasons: new Set(), since: 0, busy: false, timer: 0 };

function word(name, ...values) {
  return values.reduce((text, value, place) => text.replace(`{${place}}`, value), WORDS[now.language][name] ?? name);
}

function make(tag, { text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

function keyed(key, text, act, properties = {}) {
  const button = make("button", { type: "button", ...properties }, make("span", { text }), make("kbd", { text: key }));
  button.addEventListener("click", act);
  return button;
}

function say(text) { at("status").textContent = text; clearTimeout(say.timer); say.timer = setTimeout(() => { at("status").textContent = ""; }, 4000); }

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, options);
  const told = await response.json();
  if (!response.ok) throw Object.assign(new Error(told.error?.message ?? told.detail?.[0]?.msg ?? response.statusText), { isOurs: true });
  return told;
}

const following = () => ask(`/api/label/next?rater=${encodeURIComponent(now.rater)}`);
const drafted = (item) => `draft.${item.comparison}.${item.showing}`;

// Loads what is next and shows it; a server that is away is asked again.
async function load() {
  clearTimeout(now.timer);
  try {
    show(await following());
  } catch (error) {
    say(error.isOurs ? error.message : word("lost"));
    now.timer = setTimeout(load, AGAIN);
  }
}

function show(state, before) {
  const item = state.item;
  const same = now.state?.item && item && now.state.item.comparison === item.comparison && now.state.item.showing === item.showing;
  now.state = state;
  if (!same || before) Object.assign(now, { ranked: [], reasons: new Set(before?.reasons ?? []), since: performance.now() });
  draw();
  if (item && (!same || before)) {
    at("better").value = before?.better ?? sessionStorage.getItem(drafted(item)) ?? "";
    for (const text of document.querySelectorAll(".answer-text")) text.scrollTop = 0;
    window.scrollTo(0, 0);
    wait(state.minimum_s);
  }
  if (state.is_writing || !item) now.timer = setTimeout(load, AGAIN);
}

function wait(seconds) {
  const bar = at("wait");
  bar.classList.remove("runs");
  void bar.offsetWidth; // starts the animation anew
  bar.style.setProperty("--time", `${seconds}s`);
  bar.classList.add("runs");
}

function draw() {
  document.documentElement.lang = now.language === "zh" ? "zh-CN" : "en";
  document.title = `${word("title")} - Cutaway`;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  at("language").textContent = word("other");
  at("rater").textContent = now.rater;
  at("rater").title = word("change", now.rater);
  at("rater").hidden = !now.rater;
  at("welcome").hidden = Boolean(now.rater);
  const { item, progress, is_writing: isWriting, failure } = now.state ?? {};
  at("judging").hidden = !item;
  at("rest").hidden = !now.state || Boolean(item) || !now.rater;
  at("rest-title").textContent = isWriting ? word("writing") : word("finished");
  at("rest-text").textContent = failure ? word("failed") + failure : word(isWriting ? "waiting" : "finished_text");
  drawProgress(progress, isWriting);
  drawMeters(now.state?.meters);
  if (item) drawItem(item);
}

function drawProgress(progress, isWriting) {
  at("bar").hidden = !progress;
  if (!progress) return;
  at("bar").value = progress.total ? progress.done / progress.total : 0;
  const told = [word("done", progress.done, progress.total)];
  if (progress.pace_s !== null) told.push(word("left", Math.ceil(progress.left_s / 60), Math.round(progress.pace_s)));
  if (isWriting) told.push(word("writing"));
  at("done").textContent = told.join(" · ");
}

function drawMeters(meters) {
  const told = [];
  for (const [name, share, isBias] of [["first", meters?.first_place, true], ["longer", meters?.longer, false], ["oneself", meters?.with_oneself, false]]) {
    if (!share || (isBias && share.trials < ENOUGH) || share.trials < 3) continue;
    const warns = isBias && (share.low > 0.5 || share.high < 0.5);
    const text = word(name, Math.round(100 * share.value), share.trials) + (warns ? ` ${word("biased")}` : "");
    told.push(make("span", { text, className: warns ? "warns" : "" }));
  }
  at("meters").replaceChildren(...told);
  at("meters").hidden = told.length === 0;
}

function drawItem(item) {
  const count = item.answers.length;
  const several = item.prompt.length > 1;
  at("prompt").replaceChildren(...item.prompt.map(({ role, content }, place) =>
    make("p", { text: (several ? word(role) : "") + content, className: place < item.prompt.length - 1 ? "aside" : "" })));
  at("answers").replaceChildren(...item.answers.map((answer, place) => {
    const rank = now.ranked.indexOf(place) + 1;
    const isEmpty = !answer.text.trim();
    const text = make("div", { text: isEmpty ? word("empty") : answer.text, className: `answer-text${isEmpty ? " is-empty" : ""}`, tabIndex: 0, role: "region" });
    text.setAttribute("aria-label", word("answer", place + 1));
    const button = keyed(String(place + 1), word(count === 2 ? "this" : "rank"), () => choose(place));
    button.setAttribute("aria-label", `${word("answer", place + 1)}: ${word(count === 2 ? "this" : "rank")}`);
    if (rank) button.firstChild.replaceChildren(make("span", { text: `#${rank}`, className: "rank" }));
    return make("article", { className: `answer${rank ? " is-ranked" : ""}` }, text, button);
  }));
  at("hint").textContent = word(count === 2 ? "hint_pair" : "hint_rank");
  at("verdicts").setAttribute("aria-label", word("verdicts"));
  at("verdicts").replaceChildren(
    keyed(count === 2 ? "3" : "t", word("tie"), () => judge("tie")),
    keyed(count === 2 ? "4" : "b", word(count === 2 ? "both_bad" : "all_bad"), () => judge("both_bad")),
    keyed("s", word("skip"), () => judge("skip")),
    keyed("u", word("undo"), undo));
  at("reasons").setAttribute("aria-label", word("reasons"));
  at("reasons").replaceChildren(...Object.entries(REASONS).map(([key, name]) => {
    const button = keyed(key, word(name), () => toggle(name));
    button.setAttribute("aria-pressed", String(now.reasons.has(name)));
    return button;
  }));
}

function toggle(name) {
  if (!now.reasons.delete(name)) now.reasons.add(name);
  const focused = document.activeElement?.textContent;
  draw();
  [...document.querySelectorAll("#reasons button")].find((button) => button.textContent === focused)?.focus();
}

// Of two answers a choice is the verdict; of more it is the next place of the ranking.
function choose(place) {
  const count = now.state.item.answers.length;
  if (place >= count || now.ranked.includes(place)) return;
  if (count === 2) { judge(place === 0 ? "a" : "b"); return; }
  now.ranked.push(place);
  if (now.ranked.length === count - 1) {
    now.ranked.push([...Array(count).keys()].find((each) => !now.ranked.includes(each)));
    draw();
    judge("ranking");
  } else draw();
}

async function judge(verdict) {
  const { item, minimum_s: minimum } = now.state ?? {};
  if (!item || now.busy) return;
  const milliseconds = Math.round(performance.now() - now.since);
  if (verdict !== "skip" && milliseconds < minimum * 1000) {
    say(word("early", Math.max(0.1, minimum - milliseconds / 1000).toFixed(1)));
    if (verdict === "ranking") { now.ranked = []; draw(); }
    return;
  }
  const shown = item.answers.map(({ key }) => key);
  const body = {
    rater: now.rater, comparison: item.comparison, showing: item.showing, verdict, shown,
    ranking: verdict === "ranking" ? now.ranked.map((place) => shown[place]) : [],
    reasons: [...now.reasons], better: at("better").value.trim(), milliseconds: Math.min(milliseconds, 86_400_000),
  };
  await send("/api/label/judgements", body, () => {
    sessionStorage.removeItem(drafted(item));
    say(word("stored", word(verdict)));
  });
}

async function undo() {
  if (!now.rater || now.busy) return;
  await send("/api/label/undo", { rater: now.rater }, (told) => say(told.undone ? word("undone", word(told.undone.verdict)) : word("nothing")));
}

async function send(path, body, after) {
  now.busy = true;
  clearTimeout(now.timer);
  const hadFocus = document.activeElement?.closest("#judging");
  try {
    const told = await ask(path, body);
    after(told);
    show(told, told.undone ?? undefined);
    if (hadFocus) at("answers").focus({ preventScroll: true });
  } catch (error) {
    say(error.isOurs ? error.message : word("lost"));
    now.timer = setTimeout(load, AGAIN); // another window may have judged it
  } finally {
    now.busy = false;
  }
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !now.rater) return;
  if (event.target.matches("textarea, input")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const count = now.state?.item?.answers.length ?? 0;
  const acts = { s: () => judge("skip"), u: undo, e: () => at("better").focus(), t: () => judge("tie"), b: () => judge("both_bad"),
    Backspace: () => { now.ranked.pop(); draw(); } };
  if (count === 2) Object.assign(acts, { 3: () => judge("tie"), 4: () => judge("both_bad") });
  for (let place = 0; place < count; place += 1) acts[place + 1] = () => choose(place);
  for (const [key, name] of Object.entries(REASONS)) acts[key] = () => toggle(name);
  const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || event.repeat || (count === 0 && act !== undo)) return;
  event.preventDefault();
  act();
}

function begin() {
  const language = kept.get("language") ?? navigator.language ?? "en";
  now.language = language.toLowerCase().startsWith("zh") ? "zh" : "en";
  const theme = kept.get("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  now.rater = kept.get("rater") ?? "";
  at("welcome").addEventListener("submit", (event) => {
    event.preventDefault();
    now.rater = at("name").value.trim();
    if (!now.rater) return;
    kept.set("rater", now.rater);
    load();
  });
  at("rater").addEventListener("click", () => { Object.assign(now, { rater: "", state: null }); clearTimeout(now.timer); draw(); at("name").focus(); });
  at("language").addEventListener("click", () => { now.language = now.language === "en" ? "zh" : "en"; kept.set("language", now.language === "zh" ? "zh-CN" : "en"); draw(); });
  at("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    kept.set("theme", root.dataset.theme);
  });
  at("better").addEventListener("input", () => { if (now.state?.item) sessionStorage.setItem(drafted(now.state.item), at("better").value); });
  document.addEventListener("keydown", pressed);
  draw();
  if (now.rater) load(); else at("name").focus();
}

begin();
