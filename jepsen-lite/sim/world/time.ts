// Virtual time: one heap of events, ordered by (time, order of arrival). Events of the current instant go into a
// separate queue, which makes the turns of many event loops cheap.

/**
 * The owner of events. An event of an owner that is not `live` is dropped; one of an owner that is `held` is kept back.
 */
export interface EventOwner {
  readonly live: boolean
  readonly paused: boolean
  readonly number: number
  /** Keeps an event until the owner continues. */
  defer(event: Event): void
}

/**
 * The kind of an event. Of the events kept back for a stopped process, timers run first, then arrived messages, then
 * the end of the turn.
 */
export const TIMER = 0
export const IO = 1
export const SOON = 2
export const MESSAGE = 3

export class Event {
  at: number
  seq: number
  readonly kind: number
  readonly owner: EventOwner | undefined
  run: ((event: Event) => void) | undefined
  /** For a frame: the end of the connection where it arrives, the frame, and its number on its link. */
  readonly subject: unknown
  readonly detail: unknown
  readonly number: number

  constructor(
    at: number,
    seq: number,
    kind: number,
    owner: EventOwner | undefined,
    run: (event: Event) => void,
    subject?: unknown,
    detail?: unknown,
    number = 0,
  ) {
    this.at = at
    this.seq = seq
    this.kind = kind
    this.owner = owner
    this.run = run
    this.subject = subject
    this.detail = detail
    this.number = number
  }

  cancel(): void {
    this.run = undefined
  }
}

class Queue {
  readonly #events: Event[] = []
  #head = 0

  add(event: Event): void {
    this.#events.push(event)
  }

  get events(): readonly Event[] {
    return this.#events.slice(this.#head)
  }

  take(): Event | undefined {
    if (this.#head === this.#events.length) return undefined
    const event = this.#events[this.#head++]
    if (this.#head === this.#events.length) {
      this.#events.length = 0
      this.#head = 0
    }
    return event
  }
}

/** Events that are kept before cancelled ones are looked for. */
const SWEPT_FROM = 1000

export class Time {
  now = 0
  /** How many events have run. */
  count = 0
  #seq = 0
  #heap: Event[] = []
  /** Cancelled events are dropped when the heap has this size: a timer that was cleared may be due in a day. */
  #sweptAt = SWEPT_FROM
  readonly #present = new Queue()
  /** Events that were kept back. They run first, or later ones would overtake them. */
  readonly #late = new Queue()

  push(
    at: number,
    kind: number,
    owner: EventOwner | undefined,
    run: (event: Event) => void,
    subject?: unknown,
    detail?: unknown,
    number?: number,
  ): Event {
    const event = new Event(at, this.#seq++, kind, owner, run, subject, detail, number)
    this.#insert(event)
    return event
  }

  /** Reserves places in the order of events for `count` events of `pushAt`. Returns the first. */
  reserve(count: number): number {
    const first = this.#seq
    this.#seq += count
    return first
  }

  /** Adds an event as if it had been added when its place `seq` was reserved. */
  pushAt(seq: number, at: number, kind: number, run: (event: Event) => void): void {
    this.#insert(new Event(at, seq, kind, undefined, run))
  }

  /** Runs a kept-back event at this instant, after earlier ones of these, and before all other events. */
  late(event: Event): void {
    event.at = this.now
    this.#late.add(event)
  }

  /**
   * Sets `now` to the next event and returns it; undefined when there is none before `until`, and then `now` is
   * `until`.
   */
  next(until: number): Event | undefined {
    for (;;) {
      const event = this.#take(until)
      if (event === undefined) {
        this.now = Math.max(this.now, until)
        return undefined
      }
      if (event.run === undefined) continue
      const { owner } = event
      if (owner !== undefined && !owner.live) continue
      if (event.at > this.now) this.now = event.at
      if (owner?.paused) {
        owner.defer(event)
        continue
      }
      this.count++
      return event
    }
  }

  /** Events of this owner become due at other times, such as timers whose clock was changed. */
  reschedule(owner: EventOwner, at: (event: Event) => number): void {
    const events = this.#heap
    this.#heap = []
    for (const event of events) {
      if (event.owner === owner) event.at = Math.max(this.now, at(event))
      this.#siftUp(event)
    }
  }

  /** Events that wait, in no order. */
  waiting(isSuch: (event: Event) => boolean): Event[] {
    const all = [...this.#heap, ...this.#present.events, ...this.#late.events]
    return all.filter((event) => event.run !== undefined && isSuch(event))
  }

  #insert(event: Event): void {
    if (event.at <= this.now) {
      event.at = this.now
      this.#present.add(event)
      return
    }
    if (this.#heap.length >= this.#sweptAt) this.#sweep()
    this.#siftUp(event)
  }

  #sweep(): void {
    const events = this.#heap.filter(({ run, owner }) => run !== undefined && owner?.live !== false)
    this.#heap = []
    for (const event of events) this.#siftUp(event)
    this.#sweptAt = Math.max(SWEPT_FROM, 2 * events.length)
  }

  #take(until: number): Event | undefined {
    const heap = this.#heap
    const late = this.#late.take()
    if (late !== undefined) return late
    const first = heap[0]
    // An event in the heap for this instant is older than those in the queue.
    if (first !== undefined && first.at <= this.now) return this.#pop(first)
    const present = this.#present.take()
    if (present !== undefined) return present
    return first !== undefined && first.at <= until ? this.#pop(first) : undefined
  }

  #siftUp(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !isBefore(event, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = event
  }

  #pop(first: Event): Event {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || last === first) return first
    const { length } = heap
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      let smaller = heap[child]
      if (smaller === undefined) break
      const right = child + 1 < length ? heap[child + 1] : undefined
      if (right !== undefined && isBefore(right, smaller)) {
        child++
        smaller = right
      }
      if (!isBefore(smaller, last)) break
      heap[at] = smaller
      at = child
    }
    heap[at] = last
    return first
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.seq < b.seq)
