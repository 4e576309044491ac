// Texts that a browser keeps for the page. A browser may refuse its store, or have no room: then it keeps nothing.

type KeptTexts = Pick<Storage, 'getItem' | 'setItem'>

export function keptText(store: () => KeptTexts, name: string): string | null {
  try {
    return store().getItem(name)
  } catch {
    return null
  }
}

export function keepText(store: () => KeptTexts, name: string, text: string): void {
  try {
    store().setItem(name, text)
  } catch {
    // The page knows it until it is closed.
  }
}
