// Sets theme and language before anything is painted; a plain script, so that nothing waits for it.

(() => {
  const read = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // a browser that keeps nothing
    }
  };
  const root = document.documentElement;
  const theme = read("cutaway.theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const language = read("cutaway.language") ?? navigator.language ?? "en";
  root.lang = language.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
})();
