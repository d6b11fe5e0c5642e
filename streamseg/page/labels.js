// How a label looks. It depends on its text alone, so it is the same after a reload, in every panel, on every screen.

export const COLOURS = 8;
export const PATTERNS = 5; // coprime to COLOURS: forty combinations, and successive labels differ in both

/** Return {colour, pattern, letters} of a label; null stands for "not known yet". letters: short enough for a ribbon. */
export function labelLook(label) {
  if (label === null || label === undefined) return { colour: null, pattern: 0, letters: "?" };
  const index = ordinal(label);
  return { colour: index % COLOURS, pattern: index % PATTERNS, letters: letters(label) };
}

function ordinal(label) {
  if (/^[A-Z]{1,2}$/i.test(label))
    return [...label.toUpperCase()].reduce((n, letter) => n * 26 + letter.charCodeAt(0) - 64, 0) - 1;
  const number = /(\d+)$/.exec(label);
  if (number) return Number(number[1]) % 1_000_000;
  return [...label].reduce((hash, letter) => (Math.imul(hash, 31) + letter.codePointAt(0)) >>> 0, 7); // any text
}

function letters(label) {
  if (label.length <= 3) return label;
  const number = /(\d{1,3})$/.exec(label);
  return number ? label[0].toUpperCase() + number[1] : label.slice(0, 2);
}
