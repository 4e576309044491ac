// Makes the change of an exercise in a copy of the sources, and runs the transcripts.

import { CommandError } from '../exit-codes.ts'
import { failedTests } from '../mutants/detection.ts'
import { Workbench } from '../mutants/workbench.ts'
import type { Exercise } from './exercise.ts'

export interface JudgedAnswer {
  readonly isRight: boolean
  /** The beginning of what the transcript reports that breaks. */
  readonly failure: string
}

/** Name of the test of a transcript. */
const testOf = (transcript: string): string => transcript.replaceAll('-', ' ')

export async function judge({ answers, breaks, patch }: Exercise, answer: string): Promise<JudgedAnswer> {
  const bench = new Workbench()
  try {
    bench.plant(patch)
    const failed = await failedTests(bench.dir, ['test/raft/golden.test.ts'])
    const broken = answers.filter((name) => failed.some((test) => test.name === testOf(name)))
    if (broken.length !== 1 || broken[0] !== breaks)
      throw new CommandError(`${patch.id}.patch says that ${breaks} breaks, but [${broken}] did: mend it`)
    const detail = failed.find(({ name }) => name === testOf(breaks))?.detail ?? ''
    return { isRight: answer === breaks, failure: detail.split('\n').slice(0, 2).join('\n') }
  } finally {
    bench.remove()
  }
}
