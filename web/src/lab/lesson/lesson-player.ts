// One lesson that is open: its step, what the user predicted, and what the run has shown. The run itself is the one of
// the page, which the user may change at any moment: then it is no longer the lesson's.

import { batch, computed, effect, signal } from '@preact/signals'
import { holdsIn } from '../../../../jepsen-lite/lab/lessons/facts.ts'
import type { BreakStep, Lesson, LessonStep } from '../../../../jepsen-lite/lab/lessons/lesson.ts'
import type { LabView } from '../../../../jepsen-lite/lab/view.ts'
import type { LabClient } from '../lab-client.ts'
import { headOf } from '../link-lines.ts'

/**
 * arriving: the run is on its way to where the step begins; asked: it stands there, and the user predicts or acts;
 * running: it is on its way to the end of the step; done: it has got there, or has reached the goal.
 */
export type LessonPhase = 'arriving' | 'asked' | 'running' | 'done'

interface OpenLesson {
  /** Its name in the address; undefined: it is from a file of the user. */
  readonly name: string | undefined
  readonly lesson: Lesson
}

interface LessonPlayerOptions {
  /** The user wants no motion that he did not begin. */
  readonly isCalm?: () => boolean
  /** Called when a step of a lesson with a name has been done. */
  readonly onDone?: (name: string, step: number, isLast: boolean) => void
}

/** Real time of a step that does not say how fast it runs. */
const STEP_SHOWN_MS = 8000
const speedOf = ({ speed, from, until }: LessonStep): number =>
  speed ?? Math.max(0.01, (until - from) / STEP_SHOWN_MS)

/** How far a moment that the run has reached may be from the one that was wanted. */
const NEAR_MS = 0.001

export class LessonPlayer {
  readonly open = signal<OpenLesson | undefined>(undefined)
  /** From 0 on. */
  readonly at = signal(0)
  readonly phase = signal<LessonPhase>('arriving')
  /** The number of the choice to which the user has committed. */
  readonly predicted = signal<number | undefined>(undefined)
  /** The numbers of the right choices; undefined until the run has been judged. */
  readonly right = signal<readonly number[] | undefined>(undefined)
  readonly isHintShown = signal(false)
  /** The solution is shown. */
  readonly isSolved = signal(false)
  /** The user has left for a run of his own, and may return. */
  readonly isFree = signal(false)
  readonly step = computed<LessonStep | undefined>(() => this.open.value?.lesson.steps[this.at.value])
  readonly isLast = computed(() => this.at.value + 1 === this.open.value?.lesson.steps.length)
  /** The run is not the one of the step, or not one of its cluster for a task: the panel offers the way back. */
  readonly isAway = computed(() => {
    const [step, phase] = [this.step.value, this.phase.value]
    if (step === undefined) return false
    if (this.isFree.value || phase === 'arriving') return this.isFree.value
    const link = this.#client.link.value
    return step.kind === 'break' ? headOf(link) !== headOf(step.run) : link !== step.run
  })
  /** The last step is done. */
  readonly isEnd = computed(() => this.isLast.value && this.phase.value === 'done')
  readonly canContinue = computed(() => {
    const [step, phase] = [this.step.value, this.phase.value]
    if (step === undefined || this.isAway.value) return false
    if (step.kind === 'predict' && this.predicted.value === undefined) return false
    return !this.isLast.value || phase === 'running' || phase === 'done'
  })
  /** The fragment of the URL; undefined: it is the run. */
  readonly address = computed(() => {
    const name = this.open.value?.name
    return name === undefined || this.isAway.value ? undefined : `lesson=${name},step=${this.at.value + 1}`
  })
  /** The run whose lines are the lesson's; undefined: all lines are the user's. */
  readonly lessonRun = computed(() => {
    const step = this.step.value
    if (step === undefined || this.isFree.value) return undefined
    return step.kind === 'break' && this.isSolved.value ? step.solution : step.run
  })
  /** Facts of the goal that hold at this instant. */
  readonly reached = computed<readonly boolean[]>(() => {
    const [step, view] = [this.step.value, this.#client.view.value]
    return step?.kind === 'break' && view !== undefined
      ? step.goal.map(({ fact }) => this.phase.value === 'done' || holdsIn(fact, view))
      : []
  })
  /** The time of the task has passed: its goal no longer counts. */
  readonly isLate = computed(() => {
    const [step, view] = [this.step.value, this.#client.view.value]
    return step?.kind === 'break' && view !== undefined && view.now > step.until
  })
  readonly #client: LabClient
  readonly #isCalm: () => boolean
  readonly #onDone: NonNullable<LessonPlayerOptions['onDone']>
  /** Predictions for steps of this lesson. */
  readonly #predictions = new Map<number, number>()
  /** Where the run shall be when the step begins. */
  #arrival = 0

  constructor(client: LabClient, { isCalm = () => false, onDone = () => {} }: LessonPlayerOptions = {}) {
    this.#client = client
    this.#isCalm = isCalm
    this.#onDone = onDone
    effect(() => {
      const [view, link] = [client.view.value, client.link.value]
      if (view !== undefined && this.step.peek() !== undefined && !this.isFree.peek())
        this.#follow(view, link)
    })
  }

  // ---- lessons and steps

  begin(name: string | undefined, lesson: Lesson, at = 0): void {
    this.#predictions.clear()
    batch(() => {
      this.open.value = { name, lesson }
      this.goTo(Math.min(Math.max(0, at), lesson.steps.length - 1))
    })
  }

  /** Ends the lesson. The run stays. */
  close(): void {
    this.#client.playsUntil = Number.POSITIVE_INFINITY
    this.open.value = undefined
  }

  /** Begins a step. One with a prediction is shown as it ended. */
  goTo(at: number): void {
    const step = this.open.peek()?.lesson.steps[at]
    if (step === undefined) return
    const client = this.#client
    const predicted = step.kind === 'predict' ? this.#predictions.get(at) : undefined
    client.pause()
    client.playsUntil = Number.POSITIVE_INFINITY
    batch(() => {
      this.at.value = at
      this.phase.value = 'arriving'
      this.predicted.value = predicted
      this.right.value = undefined
      this.isHintShown.value = false
      this.isSolved.value = false
      this.isFree.value = false
    })
    this.#arrival = predicted === undefined ? step.from : step.until
    const { isIdle } = client
    if (step.kind === 'predict')
      client.judge(step, (right) => {
        if (this.step.peek() === step) this.right.value = right
      })
    const now = client.view.peek()?.now
    // A request without an answer may change the run.
    if (!isIdle || client.link.peek() !== step.run) client.openAt(step.run, this.#arrival)
    else if (now === undefined || Math.abs(now - this.#arrival) > NEAR_MS) client.goTo(this.#arrival)
    else this.#arrive(step)
  }

  /** To the next step; or to the end of this one, if the run is on its way there. */
  next(): void {
    const step = this.step.peek()
    if (this.phase.peek() === 'running' && step !== undefined) this.#client.goTo(step.until)
    else this.goTo(this.at.peek() + 1)
  }

  back(): void {
    this.goTo(this.at.peek() - 1)
  }

  /** Begins this step again. */
  again(): void {
    this.#predictions.delete(this.at.peek())
    this.goTo(this.at.peek())
  }

  /** Leaves the lesson for the run as it is. `again` and `back` return. */
  free(): void {
    this.#client.playsUntil = Number.POSITIVE_INFINITY
    this.isFree.value = true
  }

  // ---- within a step

  predict(choice: number): void {
    const step = this.step.peek()
    if (step?.kind !== 'predict' || this.phase.peek() !== 'asked') return
    this.#predictions.set(this.at.peek(), choice)
    this.predicted.value = choice
    this.#run(step)
  }

  /** Plays the solution. */
  solve(): void {
    const step = this.step.peek()
    if (step?.kind !== 'break') return
    batch(() => {
      this.isSolved.value = true
      this.phase.value = 'arriving'
    })
    this.#arrival = step.from
    this.#client.openAt(step.solution, step.from)
  }

  #run(step: LessonStep): void {
    const client = this.#client
    this.phase.value = 'running'
    if (this.#isCalm() && step.kind !== 'break') {
      client.goTo(step.until)
      return
    }
    client.speed.value = speedOf(step)
    client.playsUntil = step.until
    client.play()
  }

  #arrive(step: LessonStep): void {
    if (this.predicted.peek() !== undefined) this.phase.value = 'done'
    else if (step.kind === 'see' || this.isSolved.peek()) this.#run(step)
    else {
      this.phase.value = 'asked'
      if (step.kind === 'break') this.#client.speed.value = speedOf(step)
    }
  }

  #follow(view: LabView, link: string): void {
    const [step, phase] = [this.step.peek(), this.phase.peek()]
    if (step === undefined || phase === 'done') return
    const isOver = view.violation !== undefined
    if (phase === 'arriving') {
      const isThere = Math.abs(view.now - this.#arrival) <= NEAR_MS || (isOver && view.now < this.#arrival)
      if (link === this.lessonRun.peek() && isThere) this.#arrive(step)
    } else if (this.isAway.peek()) this.#client.playsUntil = Number.POSITIVE_INFINITY
    else if (step.kind === 'break') {
      if (view.now >= step.from - NEAR_MS && view.now <= step.until && isReached(step, view)) this.#end(step)
    } else if (phase === 'running' && (view.now >= step.until - NEAR_MS || isOver)) this.#end(step)
  }

  #end(step: LessonStep): void {
    this.#client.pause()
    this.#client.playsUntil = Number.POSITIVE_INFINITY
    this.phase.value = 'done'
    const name = this.open.peek()?.name
    if (name !== undefined && this.step.peek() === step)
      this.#onDone(name, this.at.peek(), this.isLast.peek())
  }
}

const isReached = ({ goal }: BreakStep, view: LabView): boolean =>
  goal.every(({ fact }) => holdsIn(fact, view))
