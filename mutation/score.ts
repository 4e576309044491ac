// Counts killed mutants, and describes those that survived.

import type { StrykerFiles, StrykerMutant } from './stryker.ts'

/** RuntimeError: no test file even loads with the mutant. */
const KILLED = ['Killed', 'Timeout', 'RuntimeError']
const SURVIVED = ['Survived', 'NoCoverage']

const countOf = (files: StrykerFiles, statuses: readonly string[]): number =>
  Object.values(files).reduce(
    (sum, { mutants }) => sum + mutants.filter(({ status }) => statuses.includes(status)).length,
    0,
  )

/** Percentage of killed mutants. */
export function scoreOf(files: StrykerFiles): number {
  const [killed, survived] = [countOf(files, KILLED), countOf(files, SURVIVED)]
  return killed + survived === 0 ? 100 : (100 * killed) / (killed + survived)
}

/** One text for each surviving mutant: its place, and the code before and after it. */
export function survivorsOf(files: StrykerFiles): string[] {
  return Object.entries(files).flatMap(([file, { source, mutants }]) =>
    mutants
      .filter(({ status }) => SURVIVED.includes(status))
      .map((mutant) => {
        const { line } = mutant.location.start
        return `${file}:${line} ${mutant.mutatorName}\n- ${originalOf(source, mutant)}\n+ ${mutant.replacement}`
      }),
  )
}

function originalOf(source: string, { location: { start, end } }: StrykerMutant): string {
  const lines = source.split('\n')
  const offset = ({ line, column }: { readonly line: number; readonly column: number }): number =>
    lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0) + column - 1
  return source.slice(offset(start), offset(end))
}
