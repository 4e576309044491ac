// Rows that are applied and not yet durable, over those of the engine.
//
// A layer holds the changes between two moments; a deleted row stays in it as a tombstone. Once a batch or a view has taken a layer, nothing is
// added to it any more, and new changes go into a new one. So a view is the engine's snapshot and the layers of that instant.

export interface LayerRow {
  /** The row's key in the engine. */
  readonly engineKey: Uint8Array
  /** As sealed; undefined: deleted. */
  readonly stored: Uint8Array | undefined
}

export type Layer = ReadonlyMap<string, LayerRow>

export class Overlay {
  /** Oldest first; the last one still grows. */
  #waiting: Map<string, LayerRow>[] = [new Map()]
  #submitted: readonly Layer[] = []

  put(key: string, row: LayerRow): void {
    this.#waiting.at(-1)?.set(key, row)
  }

  get(key: string): LayerRow | undefined {
    for (let at = this.#waiting.length - 1; at >= 0; at--) {
      const row = this.#waiting[at]?.get(key)
      if (row !== undefined) return row
    }
    return findIn(this.#submitted, key)
  }

  /** Every layer of this instant, oldest first, never to change again. */
  freeze(): readonly Layer[] {
    if (this.#waiting.at(-1)?.size !== 0) this.#waiting.push(new Map())
    return [...this.#submitted, ...this.#waiting.slice(0, -1)].filter((layer) => layer.size > 0)
  }

  /** The changes that the next batch must hold, newest version of each row; `stored` drops them when it is durable. */
  submit(): { readonly rows: Iterable<LayerRow>; readonly stored: () => void } {
    const layers = this.#waiting
    this.#waiting = [new Map()]
    this.#submitted = [...this.#submitted, ...layers]
    return {
      rows: merged(layers).values(),
      stored: () => {
        this.#submitted = this.#submitted.filter((layer) => !layers.some((mine) => mine === layer))
      },
    }
  }
}

export function findIn(layers: readonly Layer[], key: string): LayerRow | undefined {
  for (let at = layers.length - 1; at >= 0; at--) {
    const row = layers[at]?.get(key)
    if (row !== undefined) return row
  }
  return undefined
}

/** One map of the newest version of each row. */
export function merged(layers: readonly Layer[]): Layer {
  const [only] = layers
  if (only !== undefined && layers.length === 1) return only
  const all = new Map<string, LayerRow>()
  for (const layer of layers) for (const [key, row] of layer) all.set(key, row)
  return all
}
