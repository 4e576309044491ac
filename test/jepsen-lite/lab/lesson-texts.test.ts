// Moments and names in the texts of the lessons are those of their runs and their facts.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Lab, parseLink } from '../../../jepsen-lite/lab/index.ts'
import type { LessonStep } from '../../../jepsen-lite/lab/lessons/lesson.ts'
import { parseLesson } from '../../../jepsen-lite/lab/lessons/parse-lesson.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'

const FOLDER = join(import.meta.dirname, '../../../docs/learn/lessons')
const LESSONS = globSync('*.json', { cwd: FOLDER })
  .sort()
  .map((file) => ({ file, steps: parseLesson(readFileSync(join(FOLDER, file), 'utf8')).steps }))

/** All strings of a step, without its facts and its runs. */
function textsOf(step: LessonStep): readonly string[] {
  if (step.kind === 'see') return step.text
  if (step.kind === 'break') return [...step.task, ...step.hint, ...step.after]
  return [...step.question, ...step.after, ...step.choices.flatMap(({ text, reply }) => [text, ...reply])]
}

interface NamedMoment {
  readonly words: string
  readonly ms: number
  /** By rounding to the last digit; at least so far as a person sees no difference. */
  readonly tolerance: number
}

const momentsIn = (text: string): readonly NamedMoment[] =>
  [...text.matchAll(/\b(?:at|until|from|since|by|to|of) (\d+(?:\.(\d+))?) s\b/gi)].map(
    ([words, seconds, digits = '']) => ({
      ...{ words, ms: Number(seconds) * 1000 },
      tolerance: Math.min(50, 500.1 / 10 ** digits.length),
    }),
  )

/** The heartbeat with which a lease begins, and the ends of leases as the leader computes them: no note has these. */
const COMPUTED: Readonly<Record<string, readonly number[]>> = {
  'read-index-and-lease.json': [2112.5, 3541.1, 3650],
}

const LAST_MS = 12_000

/** The moments at which something happens: requests, answers, decisions, and faults with their ends. */
async function happeningsOf(link: string): Promise<readonly number[]> {
  const schedule = parseLink(link)
  await loadRule(schedule.rule)
  const lab = new Lab(schedule)
  lab.runTo(LAST_MS)
  const { notes, operations } = lab.view()
  return [
    ...notes.map(({ at }) => at),
    ...operations.flatMap(({ from, until = from }) => [from, until]),
    ...[...schedule.ops, ...schedule.faults].flatMap((line) => [
      line.at,
      'ms' in line ? line.at + line.ms : line.at,
    ]),
  ]
}

test.each(LESSONS)('$file: at each moment that a text names, something happens', async ({ file, steps }) => {
  const happenings = new Map<string, readonly number[]>()
  const wrong: string[] = []
  let [before, checked] = ['', 0]
  for (const [at, step] of steps.entries()) {
    const link = step.kind === 'break' ? step.solution : step.run
    if (!happenings.has(link)) happenings.set(link, await happeningsOf(link))
    const asked =
      step.kind === 'predict' ? step.choices.flatMap(({ when }) => when.map((fact) => fact.at)) : []
    const moments = [step.from, step.until, ...asked, ...(COMPUTED[file] ?? [])]
    // The first text of a new run may still speak of the run before it.
    const all = [...moments, ...(happenings.get(link) ?? []), ...(happenings.get(before) ?? [])]
    for (const { words, ms, tolerance } of textsOf(step).flatMap(momentsIn)) {
      checked++
      if (!all.some((moment) => typeof moment === 'number' && Math.abs(moment - ms) <= tolerance))
        wrong.push(`step ${at + 1}: ${words}`)
    }
    before = link
  }
  expect(checked).toBeGreaterThan(1)
  expect(wrong).toEqual([])
})

test('the time that an answer took is that of a request in the run', async () => {
  const wrong: string[] = []
  let checked = 0
  for (const { file, steps } of LESSONS)
    for (const step of steps) {
      const named = textsOf(step).flatMap((text) => [
        ...text.matchAll(/\banswer (?:comes |came |did come )?(?:after|took) (\d+) ms/g),
      ])
      if (named.length === 0) continue
      const lab = new Lab(parseLink(step.run))
      lab.runTo(step.until)
      const durations = lab
        .view()
        .operations.flatMap(({ from, until }) => (until === undefined ? [] : [until - from]))
      checked += named.length
      for (const [words, ms] of named)
        if (!durations.some((duration) => Math.abs(duration - Number(ms)) <= 2))
          wrong.push(`${file}: ${words}`)
    }
  expect(checked).toBeGreaterThan(4)
  expect(wrong).toEqual([])
})

test.each(LESSONS)('$file: the facts of a goal have the names of its texts', ({ steps }) => {
  const goals = steps.flatMap((step) => (step.kind === 'break' ? step.goal : []))
  expect(goals.length).toBeGreaterThan(0)
  for (const { text = '', fact } of goals) {
    const named = [...text.matchAll(/`([ncw]\d+)(?:\.\d+)?`/g)].map(([, name = '']) => name)
    const missing = named.filter((name) => !new RegExp(`\\b${name}\\b`).test(fact.text))
    expect({ text, missing }).toEqual({ text, missing: [] })
  }
})
