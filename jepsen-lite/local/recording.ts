// Writes the history of a run: each event at once to a file, so that it is not lost if the run breaks off; and to
// memory, for the checker and the statistics.

import { closeSync, openSync, writeSync } from 'node:fs'
import { formatEvent, type HistoryEvent, Recorder } from '../workload/history.ts'
import { RunStats, round } from './run-stats.ts'

type Header = ConstructorParameters<typeof Recorder>[0]

export class RunRecording {
  readonly events: HistoryEvent[] = []
  readonly stats = new RunStats()
  readonly recorder: Recorder
  readonly #file: number
  readonly #startedAt = performance.now()

  constructor(path: string, header: Header) {
    this.#file = openSync(path, 'w')
    this.recorder = new Recorder(
      header,
      () => this.now(),
      (event) => this.#write(event),
    )
  }

  /** The clock of the history. */
  now(): number {
    return round(performance.now() - this.#startedAt)
  }

  close(): void {
    closeSync(this.#file)
  }

  #write(event: HistoryEvent): void {
    this.events.push(event)
    this.stats.add(event)
    writeSync(this.#file, `${formatEvent(event)}\n`)
  }
}
