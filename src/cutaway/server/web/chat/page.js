// The chat page: joins the conversation, its list, the writer, the settings and the keys.

import { iconButton } from "../parts/buttons.js";
import { h } from "../parts/element.js";
import { drawFailure } from "../parts/failure.js";
import { copyText } from "../parts/files.js";
import { keep, recall } from "../parts/kept.js";
import { openMenu } from "../parts/menu.js";
import { notify } from "../parts/notice.js";
import { listModels } from "../parts/service.js";
import { openShell } from "../parts/shell.js";
import { asCode, checkedSettings, requestFields } from "../plain/settings.js";
import { say } from "../words/language.js";
import { Composer } from "./composer.js";
import { Drawers } from "./drawers.js";
import { editInPlace } from "./editing.js";
import { SettingsPanel } from "./settings_panel.js";
import { Sidebar } from "./sidebar.js";
import { OpenConversation } from "./store.js";
import { Thread } from "./thread.js";
import { drawWelcome } from "./welcome.js";
import { Writer } from "./writer.js";

const AGAIN = 2000; // milliseconds until the models are asked for again while the server loads

class ChatPage {
  #shell = openShell("chat");
  #settings = checkedSettings(recall("settings"));
  #shown = new Set(); // answers whose tokens are shown
  #models = [];
  #model = recall("model", "");
  #conversation;
  #thread;
  #writer;
  #composer;
  #sidebar;
  #panel;
  #main;
  #drawers;

  constructor() {
    this.#conversation = this.#fresh();
    this.#thread = new Thread({
      describe: (message) => this.#describe(message),
      welcome: () => drawWelcome((text) => this.#composer.write(text)),
    });
    this.#writer = new Writer({
      thread: this.#thread,
      announcer: this.#shell.announcer,
      settings: this.#settings,
      changed: () => {
        this.#composer.setBusy(this.#writer.isBusy);
        this.#composer.count();
      },
    });
    this.#composer = new Composer({
      send: (text) => this.#send(text),
      stop: () => this.#writer.stop(),
      editLast: () => this.#editLast(),
      prompt: () => this.#conversation.prompt(),
      modelChosen: (id) => this.#chooseModel(id),
    });
    this.#sidebar = new Sidebar({
      open: (id) => this.#open(id),
      failed: (error) => notify(`${say(`error.${error.kind}`)} ${error.detail}`),
    });
    this.#sidebar.renamed = (id, title) => {
      if (String(id) === String(this.#conversation.id)) this.#conversation.title = title;
    };
    this.#panel = new SettingsPanel({
      settings: this.#settings,
      changed: (settings) => this.#settingsChanged(settings),
      systemChanged: (text) => {
        this.#conversation.system = text;
        this.#conversation.save();
        this.#composer.count();
      },
      close: () => this.#drawers.toggle("settings"),
    });
    this.#build();
    this.#addShortcuts();
  }

  /** Shows what the address names, and asks for models and conversations. */
  async start() {
    this.#show();
    this.#composer.grow();
    this.#composer.focus();
    await Promise.all([this.#loadModels(), this.#sidebar.refresh(), this.#openFromAddress()]);
    addEventListener("popstate", () => this.#openFromAddress());
  }

  #fresh() {
    return new OpenConversation((error) => this.#saved(error));
  }

  #build() {
    const { left, header } = this.#shell;
    left.append(
      iconButton("menu", say("conversations.toggle"), () => this.#drawers.toggle("sidebar"), {
        "aria-controls": "sidebar",
        class: "icon-button sidebar-button",
      }),
    );
    header.querySelector(".header-right").prepend(
      iconButton("settings", say("settings"), () => this.#drawers.toggle("settings"), {
        "aria-controls": "settings",
        class: "icon-button settings-button",
      }),
    );
    this.#main = h(
      "main",
      { id: "main", class: "chat" },
      h("h1", { class: "hidden" }, say("page.chat")),
      this.#thread.element,
      this.#composer.element,
    );
    const shade = h("div", { class: "shade", on: { click: () => this.#drawers.closeAll() } });
    document.body.append(
      h("div", { class: "columns" }, this.#sidebar.element, this.#main, this.#panel.element, shade),
    );
    this.#drawers = new Drawers({
      sidebar: () => this.#sidebar.search,
      settings: () => this.#panel.system,
    });
  }

  #addShortcuts() {
    const { shortcuts } = this.#shell;
    // The first is the field's own; it is listed here so that the help shows it.
    shortcuts.add("Enter", say("key.send"), null);
    shortcuts.add("Shift+Enter", say("key.line"), null);
    shortcuts.add("ArrowUp", say("key.editLast"), null);
    shortcuts.add("Escape", say("key.stop"), () => this.#escape());
    shortcuts.add("Alt+Enter", say("key.continue"), () =>
      this.#withLast((message) => this.#goOn(message)),
    );
    shortcuts.add("Alt+R", say("key.regenerate"), () =>
      this.#withLast((message) => this.#regenerate(message)),
    );
    shortcuts.add("Alt+P", say("key.tokens"), () =>
      this.#withLast((message) => this.#showTokens(message)),
    );
    shortcuts.add("ArrowLeft", say("key.versions"), null);
    shortcuts.add("ArrowRight", say("key.versions"), null);
    shortcuts.add("Control+Shift+C", say("key.copy"), () =>
      this.#withLast((message) => this.#copy(message)),
    );
    shortcuts.add("Control+K", say("key.search"), () => this.#search());
    shortcuts.add("Control+Shift+O", say("key.new"), () => this.#open(null));
    shortcuts.add("Control+.", say("key.settings"), () => this.#drawers.toggle("settings"));
    shortcuts.add("Control+B", say("key.sidebar"), () => this.#drawers.toggle("sidebar"));
    shortcuts.add("/", say("key.focus"), () => this.#composer.focus());
  }

  async #loadModels() {
    try {
      this.#models = await listModels();
      this.#main.querySelector(":scope > .failure")?.remove();
      if (!this.#models.some(({ id }) => id === this.#model))
        this.#model = this.#models[0]?.id ?? "";
      this.#composer.setModels(this.#models, this.#model);
      this.#composer.count();
    } catch (error) {
      this.#main.querySelector(":scope > .failure")?.remove();
      this.#main.prepend(drawFailure(error, () => this.#loadModels()));
      if (error.kind === "loading") setTimeout(() => this.#loadModels(), AGAIN);
    }
  }

  #describe(message) {
    const tokens = this.#writer.tokens.get(message.id);
    const hasTokens = tokens !== undefined && (tokens.list.length > 0 || !tokens.isOver);
    return {
      versions: this.#conversation.tree.versions(message.id),
      tokens: hasTokens ? tokens : null,
      isShownAsTokens: this.#settings.areTokensShown !== this.#shown.has(message.id),
      isColoured: this.#settings.isSurpriseColoured,
      failure: this.#writer.failures.get(message.id),
      actions: this.#actions,
    };
  }

  #actions = {
    branch: (message, place, rival) => this.#branch(message, place, rival),
    copy: (message) => this.#copy(message),
    edit: (message) => this.#edit(message),
    goOn: (message) => this.#goOn(message),
    more: (message, button) => this.#more(message, button),
    regenerate: (message) => this.#regenerate(message),
    retry: (message) => (message.content === "" ? this.#write(message) : this.#goOn(message)),
    showTokens: (message) => this.#showTokens(message),
    turn: (message, by) => this.#turn(message, by),
  };

  #show() {
    this.#thread.draw(this.#conversation.tree.path());
    this.#panel.system.value = this.#conversation.system;
    this.#sidebar.mark(this.#conversation.id);
    this.#composer.count();
  }

  #send(text) {
    const { tree } = this.#conversation;
    const question = this.#conversation.add({ parent: tree.leaf, role: "user", content: text });
    this.#thread.toEnd();
    this.#begin(question.id);
  }

  #begin(parent, content = "", kept = null) {
    const message = this.#conversation.add({ parent, role: "assistant", content });
    this.#thread.draw(this.#conversation.tree.path());
    this.#write(message, kept);
  }

  #write(message, kept = null) {
    return this.#writer.write(this.#conversation, message, { model: this.#model, kept });
  }

  #regenerate(message) {
    if (!this.#writer.isBusy) this.#begin(message.parent);
  }

  /** Goes on with an answer in place: what it says stays, and more is written behind it. */
  #goOn(message) {
    if (this.#writer.isBusy || message.role !== "assistant") return;
    this.#write(message, this.#writer.tokens.get(message.id) ?? null);
  }

  #branch(message, place, rival) {
    if (this.#writer.isBusy) {
      notify(say("branch.busy"));
      return;
    }
    const { begun, list } = this.#writer.tokens.get(message.id);
    const before = list
      .slice(0, place)
      .map((token) => token.token)
      .join("");
    this.#shown[this.#settings.areTokensShown ? "delete" : "add"](message.id);
    this.#begin(message.parent, `${begun}${before}${rival.text}`);
    this.#shell.announcer.say(say("branched", { token: rival.text }));
  }

  #edit(message) {
    if (this.#writer.isBusy) return;
    const drawn = this.#thread.drawn(message.id);
    editInPlace(drawn.article, message.content, {
      done: (text) => {
        if (text === message.content) {
          this.#show();
          return;
        }
        const question = this.#conversation.add({
          parent: message.parent,
          role: "user",
          content: text,
        });
        this.#begin(question.id);
        this.#composer.focus();
      },
      left: () => {
        this.#show();
        this.#thread.drawn(message.id)?.article.focus();
      },
    });
  }

  #editLast() {
    const questions = this.#conversation.tree.path().filter(({ role }) => role === "user");
    if (questions.length > 0) this.#edit(questions[questions.length - 1]);
  }

  #turn(message, by) {
    if (this.#writer.isBusy) return;
    const wanted = this.#conversation.tree.turn(message.id, by);
    if (wanted === undefined) return;
    this.#show();
    this.#conversation.save();
    const { ids, place } = this.#conversation.tree.versions(wanted);
    this.#shell.announcer.say(say("versions.place", { place: place + 1, all: ids.length }));
  }

  #showTokens(message) {
    this.#shown.has(message.id) ? this.#shown.delete(message.id) : this.#shown.add(message.id);
    if (!this.#writer.isBusy) this.#thread.redraw(message);
  }

  async #copy(message) {
    await this.#copied(message.content);
  }

  async #copied(text) {
    notify(say((await copyText(text)) ? "copied" : "copy.refused"));
  }

  #more(message, button) {
    const entries = [{ words: say("copy.text"), run: () => this.#copied(message.content) }];
    if (message.role === "assistant") {
      const request = {
        origin: location.origin,
        model: message.details.model ?? this.#model,
        messages: this.#conversation.prompt(message.parent),
        fields: requestFields(this.#settings, message.details.seed ?? 0),
      };
      const { curl, python } = asCode(request);
      entries.push({ words: say("copy.curl"), run: () => this.#copied(curl) });
      entries.push({ words: say("copy.python"), run: () => this.#copied(python) });
      entries.push({ words: say("continue"), run: () => this.#goOn(message) });
    }
    entries.push({ words: say("remove.message"), run: () => this.#remove(message) });
    openMenu(button, entries);
  }

  #remove(message) {
    if (this.#writer.isBusy) return;
    const conversation = this.#conversation;
    const gone = conversation.tree.remove(message.id);
    conversation.save();
    this.#show();
    notify(say("removed.message"), {
      words: say("undo"),
      run: () => {
        conversation.tree.restore(gone);
        conversation.save();
        if (conversation === this.#conversation) this.#show();
      },
    });
  }

  async #openFromAddress() {
    const id = new URLSearchParams(location.search).get("id");
    if (String(id ?? "") !== String(this.#conversation.id ?? ""))
      await this.#open(id, { isBack: true });
  }

  async #open(id, { isBack = false } = {}) {
    this.#writer.stop();
    try {
      this.#conversation =
        id === null
          ? this.#fresh()
          : await OpenConversation.load(id, (error) => this.#saved(error));
    } catch (error) {
      notify(`${say(`error.${error.kind}`)} ${error.detail}`);
      return;
    }
    if (!isBack) history.pushState(null, "", id === null ? "/" : `/?id=${encodeURIComponent(id)}`);
    if (!this.#drawers.isWide) this.#drawers.set("sidebar", false);
    this.#thread.toEnd();
    this.#show();
    this.#composer.focus();
  }

  #saved(error) {
    if (error) {
      notify(say("error.unsaved"), { words: say("retry"), run: () => this.#conversation.save() });
      return;
    }
    const { id } = this.#conversation;
    if (id !== null && new URLSearchParams(location.search).get("id") !== String(id)) {
      history.replaceState(null, "", `/?id=${encodeURIComponent(id)}`);
    }
    this.#sidebar.refresh().then(() => this.#sidebar.mark(this.#conversation.id));
  }

  #chooseModel(id) {
    this.#model = id;
    keep("model", id);
    this.#composer.count();
  }

  #settingsChanged(settings) {
    keep("settings", settings);
    this.#composer.count();
    if (!this.#writer.isBusy) this.#thread.draw(this.#conversation.tree.path());
  }

  #withLast(run) {
    const answers = this.#conversation.tree.path().filter(({ role }) => role === "assistant");
    if (answers.length === 0) return false;
    return run(answers[answers.length - 1]);
  }

  #escape() {
    if (this.#writer.isBusy) {
      this.#writer.stop();
      return true;
    }
    return this.#drawers.closeAll();
  }

  #search() {
    this.#drawers.set("sidebar", true);
    this.#sidebar.search.focus();
    this.#sidebar.search.select();
  }
}

await new ChatPage().start();
