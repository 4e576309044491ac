// The voters before and after each entry that changes the configuration.

import { BODY_AT, decodeChange, ENTRY_CONFIGURATION, frameKind } from '../../src/raft/index.ts'

export class VoterChanges {
  readonly #founders: readonly string[]
  readonly #nameOf: (id: string) => string
  readonly #frameOf: (index: number, term: number) => Uint8Array | undefined
  /** By index and term, which identify an entry and all before it (paper §5.3). */
  readonly #after = new Map<string, { readonly voters: readonly string[]; readonly text: string }>()

  /** `founders`: the first voters. */
  constructor(
    founders: readonly string[],
    nameOf: (id: string) => string,
    frameOf: (index: number, term: number) => Uint8Array | undefined,
  ) {
    this.#founders = founders
    this.#nameOf = nameOf
    this.#frameOf = frameOf
  }

  /** `n1, n2, n3 → n1, n2`; undefined: the entry is no change. `termAt`: of the entries before it in the same log. */
  textOf(index: number, termAt: (index: number) => number): string | undefined {
    if (!this.#isChange(index, termAt(index))) return undefined
    const id = `${index} ${termAt(index)}`
    let known = this.#after.get(id)
    if (known === undefined) {
      known = this.#changed(index, termAt)
      this.#after.set(id, known)
    }
    return known.text
  }

  #changed(index: number, termAt: (index: number) => number): { voters: readonly string[]; text: string } {
    let before = this.#founders
    for (let at = index - 1; at > 0; at--) {
      if (this.textOf(at, termAt) === undefined) continue
      before = this.#after.get(`${at} ${termAt(at)}`)?.voters ?? before
      break
    }
    const frame = this.#frameOf(index, termAt(index)) ?? new Uint8Array()
    const change = decodeChange(frame.subarray(BODY_AT))
    if (change.kind === 'leave-joint')
      return { voters: before, text: `ends the change: only ${before.join(', ')} vote` }
    const after = new Set(before)
    for (const step of change.steps) {
      if (step.kind === 'promote') after.add(this.#nameOf(step.id))
      if (step.kind === 'remove' || step.kind === 'demote') after.delete(this.#nameOf(step.id))
    }
    const voters = [...after].sort()
    const areSame = after.size === before.length && before.every((name) => after.has(name))
    return {
      voters,
      text: `voters ${before.join(', ')}${areSame ? ', as before' : ` → ${voters.join(', ')}`}`,
    }
  }

  #isChange(index: number, term: number): boolean {
    const frame = this.#frameOf(index, term)
    return frame !== undefined && frameKind(frame) === ENTRY_CONFIGURATION
  }
}
