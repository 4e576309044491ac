/** JSON without the characters that it allows in strings and a terminal obeys: they are escaped. */
export const escapeControls = (json: string): string =>
  json.replace(
    /[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
