// The side of the page: it asks the worker for one thing at a time, and keeps the newest answer. It never waits for an
// answer, so the page never blocks.

import { batch, computed, signal } from '@preact/signals'
import type { ViewPart } from '../../../jepsen-lite/lab/fold-views.ts'
import type { Lesson, PredictStep } from '../../../jepsen-lite/lab/lessons/lesson.ts'
import { linkMoment } from '../../../jepsen-lite/lab/link-moment.ts'
import type { LabView } from '../../../jepsen-lite/lab/view.ts'
import { linkLines, withoutLastLine } from './link-lines.ts'
import { withChange } from './view-changes.ts'
import type { LabAnswer, LabRequest } from './worker-messages.ts'

/** The worker. */
export interface LabPort {
  postMessage(request: LabRequest): void
  addEventListener(type: 'message', receive: (event: { readonly data: LabAnswer }) => void): void
  addEventListener(type: 'error', fail: () => void): void
}

type ViewAnswer = Extract<LabAnswer, { readonly kind: 'view' }> & { readonly view: LabView }
export type CheckedAnswer = Extract<LabAnswer, { readonly kind: 'checked' }>

interface Asked {
  readonly request: LabRequest
  /** undefined: the request was refused. */
  readonly then: ((answer: LabAnswer) => void) | undefined
  /** It lets time pass while the run plays. */
  readonly isFrame: boolean
}

/** A refusal of the worker. `link`: the fragment of the URL is no schedule. `file`: a file has no run. */
interface Refusal {
  readonly of: 'link' | 'file' | 'line' | 'run'
  readonly why: string
}

const REFUSED: Partial<Record<LabRequest['kind'], Refusal['of']>> = {
  open: 'link',
  read: 'file',
  add: 'line',
}

export const SPEED_MIN = 0.01
export const SPEED_MAX = 100
const SPEED_FIRST = 0.1
/** A frame that was late, or an answer that took long, lets no more time pass than this. */
const FRAME_MS_MAX = 100
/** Time that the worker may take for a frame, so that the picture of a fast run moves. */
const FRAME_REAL_MS = 24
/** The real speed is measured over so long. It is shown if it is lower than this part of the wanted one. */
const MEASURE_MS = 500
const REACHED_PART = 0.8
/** Time in which a step is shown. */
const STEP_SHOWN_MS = 240
/** Virtual time before the first timeout of an election, and before the first line of a run that was opened. */
const BEFORE_MS = 120
/** Virtual time after the last line of a run that was opened. */
const AFTER_MS = 2000
/** Virtual time after which the timers of all nodes run. */
const STARTED_MS = 300
/** The answer to all requests once the worker has failed: its script is not there, or it threw. */
const STOPPED: LabAnswer = {
  kind: 'refused',
  why: 'the cluster of this page does not run. The page may be older than its host: load it again',
}
/**
 * Requests that a newer one of the same kind replaces while they wait. Only the newest of the moments that a person
 * scrubs over counts, and a key that is held makes one step at a time.
 */
const REPLACED: ReadonlySet<LabRequest['kind']> = new Set(['run', 'step', 'skip'])

export class LabClient {
  readonly view = signal<LabView | undefined>(undefined)
  /** The moment that is shown. It differs from that of the view while a step is shown. */
  readonly instant = signal(0)
  readonly end = signal(0)
  readonly link = signal('')
  readonly isPlaying = signal(false)
  readonly speed = signal(SPEED_FIRST)
  /** The speed that is reached, where it is lower; undefined: the run is as fast as it should be. */
  readonly realSpeed = signal<number | undefined>(undefined)
  readonly refusal = signal<Refusal | undefined>(undefined)
  readonly checked = signal<CheckedAnswer | 'in progress' | undefined>(undefined)
  /** How many runs were opened. One that is opened with `openAt` belongs to the run before. */
  readonly runs = signal(0)
  /** The violation for which the file of this run was kept. */
  readonly kept = signal<string | undefined>(undefined)
  /** Parts that views have in addition. */
  readonly parts = signal<readonly ViewPart[]>([])
  readonly lines = computed(() => linkLines(this.link.value))
  /** The lines that an action at this moment would forget. */
  readonly laterLines = computed(() => {
    const now = this.view.value?.now ?? 0
    return this.lines.value.filter(({ at }) => at > now)
  })
  /** Whether frames are needed. */
  readonly isMoving = computed(() => this.isPlaying.value || this.#step.value !== undefined)
  readonly #step = signal<{
    readonly answer: ViewAnswer
    readonly from: number
    begunAt: number | undefined
  }>()
  readonly #port: LabPort
  readonly #isCalm: () => boolean
  readonly #waiting: Asked[] = []
  /** The run plays no further than this moment. */
  playsUntil = Number.POSITIVE_INFINITY
  #inFlight: Asked | undefined
  /** The worker answers no more. */
  #hasFailed = false
  /** The view of the newest answer. */
  #received: LabView | undefined
  #frameAt: number | undefined
  /** The beginning of the measurement of the real speed. */
  #measured: { readonly at: number; readonly now: number; readonly speed: number } | undefined

  /** `isCalm`: the user wants no motion that only shows a change. */
  constructor(port: LabPort, isCalm: () => boolean = () => false) {
    this.#port = port
    this.#isCalm = isCalm
    port.addEventListener('message', ({ data }) => this.#answered(data))
    port.addEventListener('error', () => {
      this.#hasFailed = true
      this.#answered(STOPPED)
    })
  }

  // ---- requests

  /** Whether the view has the run and the moment that were requested last. */
  get isIdle(): boolean {
    return this.#inFlight === undefined && this.#waiting.length === 0 && this.#step.peek() === undefined
  }

  #ask(request: LabRequest, then?: Asked['then'], isFrame = false): void {
    this.#endStep()
    const last = this.#waiting.at(-1)?.request.kind
    if (REPLACED.has(request.kind) && last === request.kind) this.#waiting.pop()
    this.#waiting.push({ request, then, isFrame })
    this.#sendNext()
  }

  /** Puts a request that belongs to the one just answered before all that wait. */
  #askNext(request: LabRequest, then?: Asked['then']): void {
    this.#waiting.unshift({ request, then, isFrame: false })
  }

  #sendNext(): void {
    if (this.#inFlight !== undefined) return
    this.#inFlight = this.#waiting.shift()
    if (this.#inFlight === undefined) return
    const { request } = this.#inFlight
    const parts = this.parts.peek()
    if (this.#hasFailed) this.#answered(STOPPED)
    else this.#port.postMessage(parts.length === 0 ? request : { ...request, parts })
  }

  #answered(answer: LabAnswer): void {
    const asked = this.#hasFailed ? undefined : this.#inFlight
    this.#inFlight = undefined
    if (answer.kind === 'refused') this.#refused(asked?.request, answer.why)
    else if (answer.kind === 'checked') this.#checkedRun(answer)
    else if (answer.kind === 'view') {
      this.#received = withChange(this.#received, answer.change) as LabView
      this.#reached(asked, { ...answer, view: this.#received })
    }
    if (answer.kind !== 'refused') asked?.then?.(answer)
    this.#sendNext()
  }

  #reached(asked: Asked | undefined, answer: ViewAnswer): void {
    const isStep = asked?.request.kind === 'step' && this.#waiting.length === 0
    if (isStep && this.view.peek() !== undefined && !this.#isCalm()) {
      this.#step.value = { answer, from: this.instant.peek(), begunAt: undefined }
      return
    }
    const before = this.view.peek()?.now
    this.#show(answer)
    // The run has ended, or has broken a rule.
    if (!asked?.isFrame || asked.request.kind !== 'run') return
    const { now } = answer.view
    if (now === before) this.pause()
    // Something else is wanted first.
    else if (this.#waiting.length > 0) return
    // The frame ran out of its time. The worker shall not wait for the next one.
    else if (now < asked.request.ms && this.isPlaying.peek() && this.speed.peek() === this.#measured?.speed)
      this.#ask(asked.request, undefined, true)
  }

  /** Nobody waits for the verdict once its dialog is closed, another run is open, or a newer check waits. */
  #checkedRun(answer: CheckedAnswer): void {
    const isNewest = this.#waiting.every(({ request }) => request.kind !== 'check')
    if (isNewest && this.checked.peek() === 'in progress') this.checked.value = answer
  }

  #refused(request: LabRequest | undefined, why: string): void {
    const of = REFUSED[request?.kind ?? 'run'] ?? 'run'
    // Requests after it were for the run that did not begin.
    if (of === 'link') this.#waiting.length = 0
    batch(() => {
      this.checked.value = undefined
      this.isPlaying.value = false
      this.refusal.value = { of, why }
    })
  }

  #show({ view, end, link }: ViewAnswer): void {
    batch(() => {
      this.view.value = view
      this.instant.value = view.now
      this.end.value = end
      this.link.value = link
    })
  }

  // ---- runs

  /**
   * Opens a run: paused at the moment of its link, or shortly before its first line; or it plays from shortly before
   * the first election.
   */
  open(link: string): void {
    batch(() => {
      this.runs.value++
      this.refusal.value = undefined
      this.checked.value = undefined
      this.kept.value = undefined
      this.isPlaying.value = false
    })
    this.#ask({ kind: 'open', link }, () => {
      const lines = this.lines.peek()
      const [first, last] = [lines[0], lines.at(-1)]
      const moment = linkMoment(link) ?? (first === undefined ? undefined : Math.max(0, first.at - BEFORE_MS))
      if (moment === undefined) this.#askNext({ kind: 'run', ms: STARTED_MS }, () => this.#runToElection())
      else if (last === undefined || last.at + AFTER_MS <= moment) this.#askNext({ kind: 'run', ms: moment })
      else
        this.#askNext({ kind: 'run', ms: last.at + AFTER_MS }, () =>
          this.#askNext({ kind: 'run', ms: moment }),
        )
    })
  }

  #runToElection(): void {
    const timeouts = this.view.peek()?.nodes.flatMap(({ election }) => election?.until ?? []) ?? []
    const first = Math.min(...timeouts)
    if (!Number.isFinite(first)) return
    this.#askNext({ kind: 'run', ms: Math.max(STARTED_MS, first - BEFORE_MS) }, () => {
      if (!this.#isCalm()) this.play()
    })
  }

  /** Requests views with this part, or without it. */
  show(part: ViewPart, isShown: boolean): void {
    const parts = this.parts.peek()
    if (parts.includes(part) === isShown) return
    this.parts.value = isShown ? [...parts, part] : parts.filter((other) => other !== part)
    // Without a line, this asks for the view of the present instant.
    if (this.view.peek() !== undefined) this.#ask({ kind: 'add', lines: [] })
  }

  play(): void {
    this.#frameAt = undefined
    this.#measured = undefined
    this.isPlaying.value = true
  }

  pause(): void {
    this.isPlaying.value = false
  }

  togglePlay(): void {
    if (this.isPlaying.peek()) this.pause()
    else this.play()
  }

  /** Called for each frame while `isMoving`, with a time in real milliseconds. */
  frame(at: number): void {
    this.#showStep(at)
    if (!this.isPlaying.peek()) return
    if (this.#frameAt === undefined) this.#frameAt = at
    const now = this.view.peek()?.now
    if (now !== undefined) this.#measure(at, now)
    if (this.#inFlight !== undefined || this.#waiting.length > 0) return
    const passed = Math.min(at - this.#frameAt, FRAME_MS_MAX)
    this.#frameAt = at
    if (now !== undefined && passed > 0) {
      const ms = Math.min(now + passed * this.speed.peek(), Math.max(now, this.playsUntil))
      this.#ask({ kind: 'run', ms, realMsMax: FRAME_REAL_MS }, undefined, true)
    }
  }

  #measure(at: number, now: number): void {
    const speed = this.speed.peek()
    const begun = this.#measured
    if (begun === undefined || begun.speed !== speed || now < begun.now) {
      this.#measured = { at, now, speed }
      this.realSpeed.value = undefined
    } else if (at - begun.at >= MEASURE_MS) {
      const reached = (now - begun.now) / (at - begun.at)
      this.realSpeed.value = reached < REACHED_PART * speed ? reached : undefined
      this.#measured = { at, now, speed }
    }
  }

  /** To the next event that can be seen. */
  step(): void {
    this.pause()
    this.#ask({ kind: 'step' })
  }

  /** To the next decision or event that has a sentence of its own. */
  skip(): void {
    this.pause()
    this.#ask({ kind: 'skip' })
  }

  /** Nothing that can be seen happens between the two moments of a step. So the view of the first is moved. */
  #showStep(at: number): void {
    const step = this.#step.peek()
    if (step === undefined) return
    step.begunAt ??= at
    const part = (at - step.begunAt) / STEP_SHOWN_MS
    if (part >= 1) this.#endStep()
    else this.instant.value = step.from + (step.answer.view.now - step.from) * part
  }

  #endStep(): void {
    const step = this.#step.peek()
    if (step === undefined) return
    batch(() => {
      this.#step.value = undefined
      this.#show(step.answer)
    })
  }

  goTo(ms: number): void {
    this.pause()
    this.#ask({ kind: 'run', ms: Math.max(0, ms) })
  }

  goBack(ms: number): void {
    this.goTo((this.view.peek()?.now ?? 0) - ms)
  }

  /** Adds lines at this moment. Lines that came later are forgotten. The next instant shows what they did. */
  act(...lines: string[]): void {
    this.refusal.value = undefined
    this.#ask({ kind: 'add', lines }, () => {
      const now = this.view.peek()?.now ?? 0
      this.#askNext({ kind: 'run', ms: Math.floor(now) + 1 })
    })
  }

  /** Opens the run without its last line, at the moment before it. */
  undo(): void {
    const undone = withoutLastLine(this.link.peek())
    if (undone === undefined) return
    this.openAt(undone.link, Math.max(0, undone.line.at - 1))
  }

  /** Opens a run at this moment, paused. Later ones are not shown before. */
  openAt(link: string, ms: number): void {
    this.pause()
    this.refusal.value = undefined
    this.checked.value = undefined
    this.#ask({ kind: 'open', link }, () => {
      // A lesson that is shown at its end asks for that as soon as its run is open.
      if (ms > 0) this.#askNext({ kind: 'run', ms })
    })
  }

  check(): void {
    this.pause()
    this.checked.value = 'in progress'
    this.#ask({ kind: 'check' })
  }

  /** Goes to the step with which the run that was checked breaks a rule. */
  goToBreak({ link, breaksAt }: CheckedAnswer): void {
    if (breaksAt === undefined) return
    this.checked.value = undefined
    if (breaksAt <= this.end.peek()) this.goTo(breaksAt)
    // It breaks when its faults have ended, which they have not in this run.
    else this.openAt(link, breaksAt)
  }

  // ---- files

  /** Opens the run in the text of a file. */
  openFile(text: string): void {
    this.pause()
    this.refusal.value = undefined
    this.#ask({ kind: 'read', text }, (answer) => {
      if (answer.kind !== 'read') return
      this.open(answer.link)
      this.kept.value = answer.detail
    })
  }

  /** Calls `then` with the run as the text of a file, and its seed. */
  save(then: (text: string, seed: number) => void): void {
    this.pause()
    this.#ask({ kind: 'save' }, (answer) => answer.kind === 'saved' && then(answer.text, answer.seed))
  }

  // ---- lessons

  /** Reads the file of a lesson. `refusal` says what is wrong with it. */
  readLesson(text: string, then: (lesson: Lesson | { readonly refusal: string }) => void): void {
    this.#ask({ kind: 'lesson', text }, (answer) => answer.kind === 'lesson' && then(answer.lesson))
  }

  /** Finds the right choices of a question, while its run stands still. */
  judge(question: PredictStep, then: (right: readonly number[]) => void): void {
    this.#ask({ kind: 'judge', question }, (answer) => answer.kind === 'judged' && then(answer.right))
  }
}
