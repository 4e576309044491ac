/** The document of a text that is a JSON object or list; undefined: it is none. */
export function parseDocument(text: string): object | undefined {
  if (!isLikeDocument(text)) return undefined
  try {
    const json: unknown = JSON.parse(text)
    return typeof json === 'object' && json !== null ? json : undefined
  } catch {
    return undefined
  }
}

/** Whether the text begins as a JSON object or list. */
export const isLikeDocument = (text: string): boolean => /^\s*[[{]/.test(text)
