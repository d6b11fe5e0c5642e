// How a label looks. Decided by its text alone: the same after a reload, in every panel, on every screen.

export const COLOURS = 8;
export const PATTERNS = 5; // prime to COLOURS: forty different looks, and neighbours differ in both

/** {colour, pattern, letters} of a label; letters is what fits on a ribbon. Null is "not known yet". */
export function look(label) {
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
