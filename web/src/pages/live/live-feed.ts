// A watch whose changes go into a buffer. It resumes by itself where it ended, so that no change is missing or twice.
// Where that is not possible, the feed has a gap, and says which one.

import type { Where } from '../../../../src/operations/forms/places.ts'
import { asRevision, type Revision } from '../../../../src/operations/forms/store.ts'
import { describeError, NoAnswerError, RefusedError } from '../../cluster/connection.ts'
import { userToken } from '../../cluster/credentials.ts'
import { readMessages } from '../../cluster/watch-messages.ts'
import { type BufferView, ChangeBuffer, type FeedGap } from './change-buffer.ts'

export interface FeedOptions {
  readonly where: Where
  readonly only: 'put' | 'delete' | undefined
  readonly prev: boolean
  /** The first revision of interest; undefined: the next one. */
  readonly from: Revision | undefined
  /** Changes that are kept. */
  readonly cap: number
  /** Whether a change of this key is kept at all. */
  readonly fits: (key: Uint8Array) => boolean
}

/** `refused`: only `retry` continues it. `logged-out`: a login does. */
export type FeedState = 'opening' | 'open' | 'resuming' | 'refused' | 'logged-out'

export interface FeedView extends BufferView {
  /** The newest ones, in their order. */
  readonly gaps: readonly FeedGap[]
  readonly gapCount: number
  /** The revision from which on the feed was requested; undefined: the one after its beginning. */
  readonly from: Revision | undefined
  /** The last revision up to which the feed has everything. */
  readonly revision: Revision | undefined
  readonly state: FeedState
  /** Why the watch is not open. */
  readonly problem: string | undefined
}

export const EMPTY_FEED: FeedView = {
  changes: [],
  received: 0,
  filtered: 0,
  dropped: 0,
  gaps: [],
  gapCount: 0,
  from: undefined,
  revision: undefined,
  state: 'opening',
  problem: undefined,
}

/** Pause between views: a page that is drawn for each of 10,000 changes would do nothing else. */
const VIEW_MS = 200
const RESUME_MS = 1_000
/** Short, so that a node which has fallen silent is noticed soon. */
const PROGRESS_MS = 2_000
const GAPS_MAX = 100

export class Feed {
  readonly #options: FeedOptions
  readonly #show: (view: FeedView) => void
  readonly #buffer: ChangeBuffer
  #fits: FeedOptions['fits']
  /** The first revision that the feed does not have yet. */
  #next: Revision | undefined
  #gaps: readonly FeedGap[] = []
  #gapCount = 0
  #state: FeedState = 'opening'
  #problem: string | undefined
  #isChanged = false
  #goOn: () => void = () => undefined

  /** `show` receives a view when the state has changed, and a few times a second when there are changes. */
  constructor(options: FeedOptions, show: (view: FeedView) => void) {
    this.#options = options
    this.#show = show
    this.#buffer = new ChangeBuffer(options.cap)
    this.#fits = options.fits
    this.#next = options.from
  }

  /** The first revision that a feed in its place would need; undefined: the next one. */
  get next(): Revision | undefined {
    return this.#next
  }

  /** Holds for what is received from now on. */
  change({ cap, fits }: Pick<FeedOptions, 'cap' | 'fits'>): void {
    this.#buffer.resize(cap)
    this.#fits = fits
    this.#isChanged = true
  }

  /** Tries again after a refusal. */
  retry(): void {
    this.#goOn()
  }

  /** Receives changes until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    const timer = setInterval(() => {
      if (this.#isChanged) this.#showNow()
    }, VIEW_MS)
    try {
      while (!signal.aborted) {
        try {
          await this.#receive(signal)
          this.#enter('resuming')
        } catch (error) {
          if (signal.aborted) return
          this.#judge(error)
        }
        await this.#pause(signal)
      }
    } finally {
      clearInterval(timer)
    }
  }

  async #receive(signal: AbortSignal): Promise<void> {
    const { where, only, prev } = this.#options
    const from = this.#next
    const request = { where, from, only, prev, values: true, time: true, progressMs: PROGRESS_MS }
    for await (const message of readMessages(request, signal)) {
      if (message.kind === 'events') this.#buffer.receive(message.events, Date.now(), this.#fits)
      // A watch that resumes has not yet sent everything up to the revision at which it was created.
      if (message.kind !== 'created' || from === undefined) this.#next = asRevision(message.revision + 1)
      this.#enter('open')
    }
  }

  #judge(error: unknown): void {
    const problem = error instanceof RefusedError ? error.problem : undefined
    if (problem?.code === 'compacted') {
      this.#noteGap(problem.fields.resume_from)
      this.#enter('resuming')
    } else if (problem?.code === 'unauthenticated')
      // A watch ends with the token with which it began. There may be a newer one.
      this.#enter(userToken.peek() === undefined ? 'logged-out' : 'resuming')
    else if (problem !== undefined && !problem.passing) this.#enter('refused', problem.detail)
    // That a node does not answer is said by the frame of the page.
    else this.#enter('resuming', error instanceof NoAnswerError ? undefined : describeError(error))
  }

  /** `resumeFrom`: the first revision whose changes the node still has. */
  #noteGap(resumeFrom: unknown): void {
    const from = this.#next
    const next =
      typeof resumeFrom === 'number' && Number.isSafeInteger(resumeFrom) && resumeFrom > (from ?? 0)
        ? asRevision(resumeFrom)
        : undefined
    this.#next = next
    if (from === undefined) return
    const to = next === undefined ? undefined : asRevision(next - 1)
    this.#gaps = [...this.#gaps, { after: this.#buffer.received, from, to }].slice(-GAPS_MAX)
    this.#gapCount++
  }

  #enter(state: FeedState, problem?: string): void {
    const isSame = state === this.#state && problem === this.#problem
    this.#state = state
    this.#problem = problem
    if (isSame) this.#isChanged = true
    else this.#showNow()
  }

  /** Waits before the next attempt: some time, or until somebody asks for it. */
  async #pause(signal: AbortSignal): Promise<void> {
    const waitsForUser = this.#state === 'refused' || this.#state === 'logged-out'
    const { promise, resolve } = Promise.withResolvers<void>()
    const goOn = (): void => resolve()
    this.#goOn = goOn
    signal.addEventListener('abort', goOn)
    const timer = waitsForUser ? undefined : setTimeout(goOn, RESUME_MS)
    await promise
    clearTimeout(timer)
    signal.removeEventListener('abort', goOn)
    if (waitsForUser) this.#enter('resuming')
  }

  #showNow(): void {
    this.#isChanged = false
    this.#show({
      ...this.#buffer.view(),
      gaps: this.#gaps,
      gapCount: this.#gapCount,
      from: this.#options.from,
      revision: this.#next === undefined ? undefined : asRevision(this.#next - 1),
      state: this.#state,
      problem: this.#problem,
    })
  }
}
