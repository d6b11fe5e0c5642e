// Make and fill elements. Text is inserted as text, never as markup: names and titles may come from anybody.

import { labelLook } from "./labels.js";

/** Make an element with these properties and children; `null` children are left out. */
export function makeElement(tag, properties = {}, ...children) {
  const { className, dataset, ...rest } = properties;
  const node = document.createElement(tag);
  if (className) node.className = className;
  Object.assign(node.dataset, dataset);
  for (const [name, value] of Object.entries(rest)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Set the text of an element where it differs, so that it is not laid out or read aloud again. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Make the chip of a label: its letters on its colour and pattern. */
export function makeChip(label, size = "") {
  const node = makeElement("span", { className: `chip ${size}`, ariaHidden: "true" });
  styleByLabel(node, label);
  return node;
}

/** Give an element the letters, colour and pattern of a label. */
export function styleByLabel(target, label) {
  const { colour, pattern, letters } = labelLook(label);
  target.dataset.colour = colour ?? "none";
  target.dataset.pattern = pattern;
  setText(target, letters);
}
