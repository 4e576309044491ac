// The futures of the run of the page. They begin anew with another run and with each step of a lesson.

import { effect, type ReadonlySignal, signal } from '@preact/signals'
import { keepText, keptText } from '../design/kept-text.ts'
import { type Future, formatFutures, futuresAfter, parseFutures } from './futures.ts'

/** Place in the store of the browser's tab. */
const STORED = 'quorate lab futures'

interface PresentRun {
  readonly link: ReadonlySignal<string>
  /** Changes when another run is opened. */
  readonly runs: ReadonlySignal<number>
  /** The step of a lesson is on its way to where it begins. Reads signals. */
  readonly isArriving: () => boolean
}

export class KeptFutures {
  readonly all = signal<readonly Future[]>([])
  readonly #run: PresentRun

  constructor(run: PresentRun) {
    this.#run = run
  }

  /** Keeps what each change of the run leaves, until the returned function is called. */
  follow(store: () => Pick<Storage, 'getItem' | 'setItem'>): () => void {
    const { link, runs, isArriving } = this.#run
    let seen = runs.peek()
    let before: string | undefined
    return effect(() => {
      const after = link.value
      const isOther = runs.value !== seen
      seen = runs.value
      if (isArriving() || isOther) {
        this.all.value = []
        before = undefined
      } else if (after === '') return
      else {
        this.all.value =
          before === undefined
            ? parseFutures(keptText(store, STORED), after)
            : futuresAfter(this.all.peek(), before, after)
        before = after
      }
      keepText(store, STORED, formatFutures(this.all.peek()))
    })
  }
}
