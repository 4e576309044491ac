// Is there an order in which one key's operations could have happened one after another, each between its start and its
// end, so that the model gives every observed result? This is the search of Wing & Gong with Lowe's memory of
// configurations: place any operation that may come next, continue from the resulting state, and take the operation
// back if that leads nowhere. README.md explains it with pictures.
//
// Five rules avoid useless tries. Each leaves out only orders for which another one is as good:
//
//   1  An answer that only observed, and that fits the current state, comes next: later would not be better.
//   2  An operation of unknown outcome need never be placed. One that would change nothing is not placed.
//   3  An operation of unknown outcome is not placed if the next one fits without it and leads to the same state.
//   4  Of unknown operations that do the same, the earliest comes first: it fits wherever a later one fits.
//   5  Operations whose answers tell revisions come in the order of these: no model accepts another order.

import type { KeyModel, ModelStep } from './models/model.ts'

/**
 * An operation between two positions of the history. `end` Infinity: it may have happened at any time from `start` on,
 * or not at all.
 */
export interface SearchCall<State> {
  readonly start: number
  readonly end: number
  readonly step: ModelStep<State>
}

export interface SearchResult {
  readonly verdict: 'linearizable' | 'impossible' | 'undecided'
  /**
   * Places of calls in the given list, in an order that explains them: all required calls if linearizable; otherwise
   * the beginning of an order that gets furthest in time.
   */
  readonly order: readonly number[]
  /**
   * If impossible: the call that fits nowhere. No order that explains everything that ended before its end has a place
   * for it.
   */
  readonly blocked: number | undefined
  /** How many configurations were entered: the size of the search. */
  readonly configurations: number
}

/** About 100 bytes each. */
export const CONFIGURATIONS_MAX = 5_000_000
/**
 * Limit for the characters of all states together; states of long values are long. Beyond it a search is undecided too.
 */
const STATES_MAX = 100_000_000
/**
 * How many results of steps are remembered; a Map can hold no more than four times as many. Then all are forgotten, and
 * computed again.
 */
const KNOWN_MAX = 4_000_000

export function search<State>(
  calls: readonly SearchCall<State>[],
  model: Pick<KeyModel<State>, 'formatState'>,
  initial: State,
  configurationsMax: number = CONFIGURATIONS_MAX,
  knownMax: number = KNOWN_MAX,
): SearchResult {
  return new Search(calls, new Steps(model, initial, calls, knownMax), configurationsMax).run()
}

const REFUSED = -1
const NONE = -1

/** A position of the search, beside the set of placed calls. */
interface Position {
  readonly state: number
  /** The state before the last placed call, if that was an optional one (rule 3). */
  readonly before: number
  /** The first required call that is not placed, and the last that is. */
  readonly from: number
  readonly last: number
  /** The first call in the queue that is not placed. */
  readonly turn: number
}

/** A placed call, and the position before it. */
interface Frame {
  readonly call: number
  readonly position: Position
  /** false: placed by rule 1, so there is no alternative to try. */
  readonly isChosen: boolean
}

class Search<State> {
  readonly #steps: Steps<State>
  readonly #configurationsMax: number
  /**
   * The configurations that the search has entered: the placed calls, and the state to which they led
   * (`#configurationKey`). Equal ones have the same continuations, so none is entered twice (Lowe).
   */
  readonly #configurations = new Set<string>()
  /** Calls are numbered by their start; this is the place of each in the given list. */
  readonly #order: Int32Array
  readonly #starts: Float64Array
  readonly #ends: Float64Array
  /** Number of each call among the required calls, or among the optional ones. */
  readonly #bit: Int32Array
  readonly #isOptional: Uint8Array
  /** The optional call before each optional call that does the same. */
  readonly #twin: Int32Array
  /**
   * Starts and ends of required calls in time order as a linked list, and starts of optional ones as another. Placed
   * calls are taken out of it. For call c, the start is node c and the end is node n + c.
   */
  readonly #next: Int32Array
  readonly #prev: Int32Array
  readonly #calls: number
  readonly #head: number
  readonly #optionalHead: number

  /** Required calls whose steps have an order, in that order. */
  readonly #queue: Int32Array

  #position: Position
  /** The placed calls, as sets of bits. */
  readonly #required: Uint16Array
  readonly #optional: Uint16Array
  #remaining: number
  readonly #frames: Frame[] = []
  #furthest: { readonly end: number; readonly blocked: number; readonly order: readonly number[] } = {
    end: Number.NEGATIVE_INFINITY,
    blocked: NONE,
    order: [],
  }

  constructor(calls: readonly SearchCall<State>[], steps: Steps<State>, configurationsMax: number) {
    const n = calls.length
    this.#calls = n
    this.#head = 2 * n
    this.#optionalHead = 2 * n + 1
    this.#configurationsMax = configurationsMax
    this.#steps = steps
    this.#position = { state: steps.initial, before: NONE, from: 0, last: -1, turn: 0 }
    const order = calls.map((_, at) => at).sort((a, b) => callStart(calls, a) - callStart(calls, b) || a - b)
    this.#order = Int32Array.from(order)
    steps.renumber(this.#order)
    this.#starts = Float64Array.from(order, (at) => callStart(calls, at))
    this.#ends = Float64Array.from(order, (at) => calls[at]?.end ?? 0)
    this.#bit = new Int32Array(n)
    this.#isOptional = new Uint8Array(n)
    this.#twin = new Int32Array(n).fill(NONE)
    const optional = this.#assignBits()
    this.#remaining = n - optional
    this.#required = new Uint16Array((this.#remaining >> 4) + 1)
    this.#optional = new Uint16Array((optional + 15) >> 4)
    this.#next = new Int32Array(2 * n + 2)
    this.#prev = new Int32Array(2 * n + 2)
    this.#queue = this.#buildQueue()
    this.#linkCalls()
  }

  run(): SearchResult {
    this.#placeObservations()
    let call = at(this.#next, this.#head)
    while (this.#remaining > 0) {
      if (this.#configurations.size > this.#configurationsMax || this.#steps.characters > STATES_MAX) {
        return this.#buildResult('undecided')
      }
      const candidate = this.#findCandidate(call)
      if (candidate !== NONE) {
        call = at(this.#next, this.#place(candidate) ? this.#head : candidate)
        continue
      }
      this.#noteDeadEnd(this.#findFirstToEnd())
      const retracted = this.#backtrack()
      if (retracted === NONE) return this.#buildResult('impossible')
      call = at(this.#next, retracted)
    }
    return this.#buildResult('linearizable')
  }

  /**
   * The next call to try, from this node on: required calls first, then optional ones, which are only needed if no
   * required one leads further. NONE: the call that ends first would have had to be placed by now.
   */
  #findCandidate(node: number): number {
    const isRequired = node < this.#calls && this.#isOptional[node] === 0
    if (isRequired) return node
    const isEnd = node >= this.#calls && node < this.#head
    const optional = isEnd ? at(this.#next, this.#optionalHead) : node
    if (optional === this.#optionalHead) return NONE
    const deadline = this.#ends[this.#findFirstToEnd()] ?? 0
    return (this.#starts[optional] ?? 0) <= deadline ? optional : NONE
  }

  /** The first end among the required calls that are not placed. */
  #findFirstToEnd(): number {
    let node = at(this.#next, this.#head)
    while (node < this.#calls) node = at(this.#next, node)
    return node - this.#calls
  }

  /** Places a call if it may come next and leads to a new configuration. */
  #place(call: number): boolean {
    const optional = this.#isOptional[call] === 1
    const twin = at(this.#twin, call)
    if (twin !== NONE && !this.#isPlaced(twin)) return false
    const step = this.#steps.findStep(call)
    if (!this.#isInOrder(step)) return false
    const { state, before } = this.#position
    const after = this.#steps.apply(state, step)
    if (after === REFUSED || (optional && after === state)) return false
    if (before !== NONE && this.#steps.apply(before, step) === after) return false
    this.#push(call, after, optional ? state : NONE, true)
    this.#placeObservations()
    const key = this.#configurationKey()
    const isNew = !this.#configurations.has(key)
    if (isNew) this.#configurations.add(key)
    else this.#backtrack()
    return isNew
  }

  /**
   * Calls are numbered by their start, so the placed ones are all up to `from` and a few later ones. Of the bits only
   * those are in the key, so its length depends on concurrency and not on the length of the history.
   */
  #configurationKey(): string {
    const { state, from, last } = this.#position
    const later = this.#required.subarray(from >> 4, (last >> 4) + 1)
    return String.fromCharCode(state & 0xffff, state >> 16, from >> 4, ...later, ...this.#optional)
  }

  /** Places observations that fit the current state (rule 1). */
  #placeObservations(): void {
    const { state } = this.#position
    let node = at(this.#next, this.#head)
    while (node < this.#calls) {
      const previous = at(this.#prev, node)
      const step = this.#steps.findStep(node)
      const free = this.#steps.isObservation(step) && this.#steps.apply(state, step) === state
      if (free) this.#push(node, state, NONE, false)
      node = at(this.#next, free ? previous : node)
    }
  }

  #push(call: number, state: number, before: number, isChosen: boolean): void {
    this.#frames.push({ call, position: this.#position, isChosen })
    let { from, last, turn } = this.#position
    this.#togglePlaced(call)
    this.#unlinkNode(call)
    if (this.#isOptional[call] === 0) {
      this.#unlinkNode(call + this.#calls)
      this.#remaining -= 1
      last = Math.max(last, at(this.#bit, call))
      while (isSet(this.#required, from)) from += 1
      while (turn < this.#queue.length && this.#isPlaced(at(this.#queue, turn))) turn += 1
    }
    this.#position = { state, before, from, last, turn }
  }

  /** Takes calls back down to the last one that was chosen, and returns it; NONE when there is no alternative left. */
  #backtrack(): number {
    for (let frame = this.#frames.pop(); frame !== undefined; frame = this.#frames.pop()) {
      const { call, position, isChosen } = frame
      this.#position = position
      this.#togglePlaced(call)
      if (this.#isOptional[call] === 0) {
        this.#relinkNode(call + this.#calls)
        this.#remaining += 1
      }
      this.#relinkNode(call)
      if (isChosen) return call
    }
    return NONE
  }

  #noteDeadEnd(blocked: number): void {
    const end = this.#ends[blocked] ?? 0
    const { end: best, order } = this.#furthest
    if (end < best || (end === best && this.#frames.length <= order.length)) return
    this.#furthest = { end, blocked, order: this.#placed }
  }

  get #placed(): number[] {
    return this.#frames.map(({ call }) => call)
  }

  #buildResult(verdict: SearchResult['verdict']): SearchResult {
    const { blocked, order } = this.#furthest
    const placed = verdict === 'linearizable' ? this.#placed : order
    return {
      verdict,
      order: placed.map((call) => at(this.#order, call)),
      blocked: verdict === 'impossible' ? at(this.#order, blocked) : undefined,
      configurations: this.#configurations.size,
    }
  }

  /** Numbers required and optional calls apart, and finds the twins. Returns the number of optional calls. */
  #assignBits(): number {
    const lastOfStep = new Map<number, number>()
    let required = 0
    let optional = 0
    for (let call = 0; call < this.#calls; call++) {
      if (this.#ends[call] !== Number.POSITIVE_INFINITY) {
        this.#bit[call] = required++
        continue
      }
      this.#bit[call] = optional++
      this.#isOptional[call] = 1
      const step = this.#steps.findStep(call)
      this.#twin[call] = lastOfStep.get(step) ?? NONE
      lastOfStep.set(step, call)
    }
    return optional
  }

  #buildQueue(): Int32Array {
    const order = (call: number): number => this.#steps.stepOrder(this.#steps.findStep(call)) ?? Number.NaN
    const calls = Array.from({ length: this.#calls }, (_, call) => call)
    const ordered = calls.filter((call) => this.#isOptional[call] === 0 && !Number.isNaN(order(call)))
    return Int32Array.from(ordered.sort((a, b) => order(a) - order(b)))
  }

  /** Whether no required call with a lower revision is left (rule 5). */
  #isInOrder(step: number): boolean {
    const order = this.#steps.stepOrder(step)
    const turn = this.#queue[this.#position.turn]
    return (
      order === undefined || turn === undefined || order === this.#steps.stepOrder(this.#steps.findStep(turn))
    )
  }

  /** Links starts and ends in order. At one position starts come before ends, so that the two are concurrent. */
  #linkCalls(): void {
    const n = this.#calls
    const time = (node: number): number => (node < n ? this.#starts[node] : this.#ends[node - n]) ?? 0
    const calls = Array.from({ length: n }, (_, call) => call)
    const required = calls.filter((call) => this.#isOptional[call] === 0)
    const nodes = [...required, ...required.map((call) => call + n)]
    this.#linkNodes(
      this.#head,
      nodes.sort((a, b) => time(a) - time(b) || a - b),
    )
    this.#linkNodes(
      this.#optionalHead,
      calls.filter((call) => this.#isOptional[call] === 1),
    )
  }

  #linkNodes(head: number, nodes: readonly number[]): void {
    let previous = head
    for (const node of [...nodes, head]) {
      this.#next[previous] = node
      this.#prev[node] = previous
      previous = node
    }
  }

  #unlinkNode(node: number): void {
    const next = at(this.#next, node)
    const prev = at(this.#prev, node)
    this.#next[prev] = next
    this.#prev[next] = prev
  }

  #relinkNode(node: number): void {
    this.#next[at(this.#prev, node)] = node
    this.#prev[at(this.#next, node)] = node
  }

  /** Adds the call to the bits, or removes it. */
  #togglePlaced(call: number): void {
    const bits = this.#callBits(call)
    const bit = at(this.#bit, call)
    bits[bit >> 4] = (bits[bit >> 4] ?? 0) ^ (1 << (bit & 15))
  }

  #isPlaced(call: number): boolean {
    return isSet(this.#callBits(call), at(this.#bit, call))
  }

  #callBits(call: number): Uint16Array {
    return this.#isOptional[call] === 1 ? this.#optional : this.#required
  }
}

const isSet = (bits: Uint16Array, bit: number): boolean => ((bits[bit >> 4] ?? 0) & (1 << (bit & 15))) !== 0

const callStart = (calls: readonly { readonly start: number }[], call: number): number =>
  calls[call]?.start ?? 0

function at(array: Int32Array, index: number): number {
  const value = array[index]
  if (value === undefined) throw new RangeError(`${index} is not in an array of ${array.length}`)
  return value
}

/** Steps and states as small numbers. Each step from a state is computed once. */
class Steps<State> {
  readonly initial: number
  /** Characters of all states so far. */
  characters = 0
  #stepsOfCalls: Int32Array
  readonly #steps: ModelStep<State>[] = []
  readonly #states: State[] = []
  readonly #stateIds = new Map<string, number>()
  readonly #model: Pick<KeyModel<State>, 'formatState'>
  readonly #known = new Map<number, number>()
  readonly #knownMax: number

  constructor(
    model: Pick<KeyModel<State>, 'formatState'>,
    initial: State,
    calls: readonly SearchCall<State>[],
    knownMax: number,
  ) {
    this.#model = model
    this.#knownMax = knownMax
    this.initial = this.#stateId(initial)
    const ids = new Map<string, number>()
    this.#stepsOfCalls = Int32Array.from(calls, ({ step }) => {
      const id = ids.get(step.text) ?? ids.size
      if (id === ids.size) {
        ids.set(step.text, id)
        this.#steps.push(step)
      }
      return id
    })
  }

  /** Renumbers the calls: call 0 becomes the one at `given[0]`. */
  renumber(order: Int32Array): void {
    this.#stepsOfCalls = order.map((call) => at(this.#stepsOfCalls, call))
  }

  findStep(call: number): number {
    return at(this.#stepsOfCalls, call)
  }

  stepOrder(step: number): number | undefined {
    return this.#steps[step]?.order
  }

  isObservation(step: number): boolean {
    return this.#steps[step]?.isObservation === true
  }

  /** REFUSED when the step is impossible in that state. */
  apply(state: number, step: number): number {
    const place = state * this.#steps.length + step
    const known = this.#known.get(place)
    if (known !== undefined) return known
    const from = this.#states[state]
    const after = from === undefined ? undefined : this.#steps[step]?.apply(from)
    const id = after === undefined ? REFUSED : this.#stateId(after)
    if (this.#known.size >= this.#knownMax) this.#known.clear()
    this.#known.set(place, id)
    return id
  }

  #stateId(state: State): number {
    const text = this.#model.formatState(state)
    const known = this.#stateIds.get(text)
    if (known !== undefined) return known
    this.#states.push(state)
    this.characters += text.length
    this.#stateIds.set(text, this.#states.length - 1)
    return this.#states.length - 1
  }
}
