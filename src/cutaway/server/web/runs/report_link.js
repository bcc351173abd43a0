// The link to a run's report; where the server asks for a key, which no link can carry, a download.

import { h } from "../parts/element.js";
import { saveFile } from "../parts/files.js";
import { fetchText, key } from "../parts/service.js";

/** A link with these attributes and words. */
export function reportLink(run, attributes, words) {
  const address = `/api/runs/${encodeURIComponent(run.id)}/report`;
  const click = async (event) => {
    if (key.get() === "") return;
    event.preventDefault();
    saveFile("report.html", await fetchText(address));
  };
  return h("a", { ...attributes, href: address, target: "_blank", rel: "noopener", on: { click } }, words);
}
