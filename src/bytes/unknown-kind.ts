/** In every text that refuses data, an entry or a peer of another version. None of them means damage. */
export const OTHER_VERSION = 'version of quorate'

/**
 * Bytes of an entry or a row that a newer program wrote: this program does not know their kind, version or flag
 * (KV-10). The node that meets them stops. `what`: a noun phrase. `known`: what this program knows instead.
 */
export class UnknownKindError extends Error {
  override readonly name = 'UnknownKindError'

  constructor(what: string, known?: string) {
    const which = known === undefined ? '' : `, which knows ${known}`
    super(
      `${what} is not known to this ${OTHER_VERSION}${which}: a newer version wrote it, so use that version`,
    )
  }
}
