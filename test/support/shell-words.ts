/**
 * Splits a command line as a POSIX shell does, without expanding anything: blanks separate words, single
 * quotes keep everything, double quotes let a backslash escape a quote or a backslash, and a backslash at a
 * line's end joins the next line.
 */

/** The words of one command line. Throws where a quote is not closed. */
export function shellWords(line: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote: "'" | '"' | null = null;
  for (let i = 0; i < line.length; i++) {
    const char = line[i] as string;
    if (quote === "'") {
      if (char === "'") quote = null;
      else word += char;
    } else if (char === "\\") {
      const escaped: string = line[++i] ?? "";
      if (escaped === "\n") continue;
      const isKept = quote === '"' && escaped !== '"' && escaped !== "\\";
      word = (word ?? "") + (isKept ? `\\${escaped}` : escaped);
    } else if (quote === '"') {
      if (char === '"') quote = null;
      else word += char;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= "";
    } else if (/\s/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + char;
    }
  }
  if (quote !== null) throw new Error(`a ${quote} is not closed in: ${line}`);
  if (word !== null) words.push(word);
  return words;
}
