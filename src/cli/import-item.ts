// The items of a source of an import, which import-files.ts and import-lines.ts read.

export type ImportItem =
  /** One key to write. */
  | {
      readonly kind: 'write'
      readonly name: string
      readonly key: Uint8Array
      readonly value: () => Uint8Array
    }
  /** Something that is not stored, and why. */
  | { readonly kind: 'skip'; readonly name: string; readonly reason: string }
  /** Nothing says whether the source is whole. */
  | { readonly kind: 'open-end'; readonly reason: string }

export type WriteItem = Extract<ImportItem, { kind: 'write' }>
