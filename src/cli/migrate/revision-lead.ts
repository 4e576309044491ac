// The revisions of the target, kept above those of the source. Then keys and values that name revisions (positions and
// messages of topics, items of queues, tokens of locks) keep their meaning, and nothing new comes before them.
//
// A cluster of quorate without keys is raised at once, far above. Elsewhere the distance is made by writes of one key,
// if it is small. A target that stays below is reported before anything is copied.

import { BUMP_DEFAULT } from '../../backup/bump.ts'
import { type Client, QuorateError } from '../../client/index.ts'
import { RAISED_REVISION_MAX } from '../../operations/forms/store.ts'
import { POSITIONS } from './position.ts'

/** A key of the target that is written only to raise the revision. It is deleted then. */
const SCRATCH_KEY = `${POSITIONS}revision`
/** Limit on such writes: a cluster of etcd makes some thousands a second. Each is a revision that it keeps. */
const WRITES_MAX = 200_000
/** How far above the source such writes go. */
const MARGIN = 1_000
const WRITES_IN_FLIGHT = 64

export type Lead =
  | { readonly kind: 'above'; readonly revision: number }
  /** `revision`: of the target. `reason`: why it was not raised at once; undefined: etcd has nothing for that. */
  | { readonly kind: 'below'; readonly revision: number; readonly reason: string | undefined }

export class RevisionLead {
  readonly #target: Client
  readonly #signal: AbortSignal

  constructor(target: Client, signal: AbortSignal) {
    this.#target = target
    this.#signal = signal
  }

  /** For a target without keys of the migration. `source`: the newest revision there. */
  async begin(source: number): Promise<Lead> {
    const revision = await this.#read()
    if (revision > source) return { kind: 'above', revision }
    try {
      const to = Math.min(source + BUMP_DEFAULT, RAISED_REVISION_MAX)
      return { kind: 'above', ...(await this.#target.raiseRevision(to, { signal: this.#signal })) }
    } catch (error) {
      const isRefused = error instanceof QuorateError && REFUSALS.has(error.code)
      if (!isRefused) throw error
      const lead = await this.keep(source, revision)
      if (lead.kind === 'above' || error.message.includes(NOT_IN_ETCD)) return lead
      const isOlder = error.code === NOT_IN_0_1_0
      return { ...lead, reason: isOlder ? 'a node of the target runs an older version' : error.message }
    }
  }

  /** Raises the target by writes if needed. `known`: a revision that it has at least. */
  async keep(source: number, known: number): Promise<Lead> {
    if (known > source) return { kind: 'above', revision: known }
    let revision = await this.#read()
    if (revision > source) return { kind: 'above', revision }
    if (source + MARGIN - revision > WRITES_MAX) return { kind: 'below', revision, reason: undefined }
    while (revision <= source) {
      await this.#write(source + MARGIN - revision)
      revision = await this.#read()
    }
    await this.#target.delete(SCRATCH_KEY, { signal: this.#signal }).catch(ignoreUnknown)
    return { kind: 'above', revision }
  }

  /** Each write is a revision. One whose outcome is unknown is not made again: the revision shows what is missing. */
  async #write(count: number): Promise<void> {
    let left = count
    const write = async (): Promise<void> => {
      while (left-- > 0)
        await this.#target.put(SCRATCH_KEY, '', { signal: this.#signal }).catch(ignoreUnknown)
    }
    await Promise.all(Array.from({ length: Math.min(count, WRITES_IN_FLIGHT) }, write))
  }

  async #read(): Promise<number> {
    let revision = 0
    const onAnswer = (info: { readonly revision?: number | undefined }) => (revision = info.revision ?? 0)
    await this.#target.get(SCRATCH_KEY, { signal: this.#signal, onAnswer })
    return revision
  }
}

/** The code with which a node of version 0.1.0 answers. */
const NOT_IN_0_1_0 = 'route_not_found'
const REFUSALS = new Set(['bad_request', 'permission_denied', NOT_IN_0_1_0])
/** Text of the driver for what etcd does not have. */
const NOT_IN_ETCD = 'etcd cannot do this'

function ignoreUnknown(error: unknown): void {
  if (!(error instanceof QuorateError) || error.written !== 'unknown') throw error
}
