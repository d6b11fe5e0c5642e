// Making and filling elements. Text goes in as text, never as markup: a name or a title may come from a stranger.

import { look } from "./labels.js";

/** An element with properties set and children appended; `null` children are left out. */
export function element(tag, properties = {}, ...children) {
  const { className, dataset, ...rest } = properties;
  const made = document.createElement(tag);
  if (className) made.className = className;
  Object.assign(made.dataset, dataset);
  for (const [name, value] of Object.entries(rest)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Set text only where it differs, so that nothing is laid out or read aloud twice. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** A label's chip: its letters on its colour and pattern. */
export function chip(label, size = "") {
  const made = element("span", { className: `chip ${size}`, ariaHidden: "true" });
  dress(made, label);
  return made;
}

/** Give an element the look of a label. */
export function dress(target, label) {
  const { colour, pattern, letters } = look(label);
  target.dataset.colour = colour ?? "none";
  target.dataset.pattern = pattern;
  say(target, letters);
}
