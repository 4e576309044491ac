// `jepsen-lite lesson`: judges the file of a lesson, and says what its runs show.

import { readFileSync } from 'node:fs'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { CommandError, EXIT } from '../exit-codes.ts'
import { type JudgedLesson, judgeLesson, type Lesson, parseLesson } from '../lab/lessons/index.ts'
import { parseLink } from '../lab/schedule-link.ts'
import { loadRule } from '../wrong-rules/load-rule.ts'
import { coloured } from './format-text.ts'

export function add(program: CommandUnknownOpts): void {
  program
    .command('lesson')
    .description('judge a lesson of the lab: which answers are right, and can each task be done?')
    .argument('<file>', 'a lesson, as docs/learn/writing-a-lesson.md describes it')
    .action(async (file) => {
      const lesson = read(file)
      for (const { run } of lesson.steps) await loadRule(parseLink(run).rule)
      const judged = judgeLesson(lesson)
      print(lesson.title, ...lesson.steps.flatMap((_, at) => ['', ...stepLines(lesson, judged, at)]), '')
      print(...judged.runs.map(({ trace, link }) => `${trace}  ${link}`))
      if (judged.problems.length === 0) return
      print('', ...judged.problems.map((problem) => coloured('red', problem)))
      process.exitCode = EXIT.violation
    })
}

function read(file: string): Lesson {
  try {
    return parseLesson(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new CommandError(`${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function stepLines({ steps }: Lesson, judged: JudgedLesson, at: number): readonly string[] {
  const [step, found] = [steps[at], judged.steps[at]]
  if (step === undefined || found === undefined) return []
  const title = `${at + 1}. ${step.kind}, from ${step.from} to ${step.until} ms`
  if (step.kind === 'predict' && found.kind === 'predict')
    return [
      `${title}: ${step.question.join(' ')}`,
      ...step.choices.flatMap(({ text, when }, number) => [
        `  ${found.judged.right.includes(number) ? coloured('green', 'right') : 'wrong'}  ${text}`,
        ...when.map(
          (fact, of) => `         ${found.judged.choices[number]?.[of] ? 'holds' : 'fails'}: ${fact.text}`,
        ),
      ]),
    ]
  if (step.kind === 'break' && found.kind === 'break') {
    const { reachedAt } = found.judged
    const text =
      reachedAt === undefined ? 'does not reach the goal' : `reaches the goal at ${Math.round(reachedAt)} ms`
    return [
      `${title}: ${step.task.join(' ')}`,
      `  the solution ${text}: ${step.goal.map(({ fact }) => fact.text).join(' and ')}`,
    ]
  }
  return [title]
}

const print = (...lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`)
