// `jepsen-lite exercise`: "remove this line: which transcript breaks, and why?"

import { Argument, type CommandUnknownOpts } from '@commander-js/extra-typings'
import type { Exercise } from '../exercises/exercise.ts'
import { CommandError } from '../exit-codes.ts'
import { whole } from './flags.ts'
import { coloured } from './format-text.ts'

export function add(program: CommandUnknownOpts): void {
  program
    .command('exercise')
    .description('remove a line of the core in a copy of the sources: which transcript breaks, and why?')
    .addArgument(new Argument('[number]', 'the exercise (default: list them all)').argParser(whole(1)))
    .option('--answer <name>', 'the transcript, or its letter; runs the transcripts, and explains')
    .action(async (number, { answer }) => {
      const { readExercises } = await import('../exercises/exercise.ts')
      const all = readExercises()
      if (number === undefined) {
        if (answer !== undefined) throw new CommandError('--answer needs the number of an exercise')
        return print(...all.map((each) => `${String(each.number).padStart(2)}  ${each.title}`))
      }
      const exercise = all[number - 1]
      if (exercise === undefined) throw new CommandError(`there are exercises 1 to ${all.length}`)
      const { changeOf } = await import('../mutants/change.ts')
      const { path, line, diff } = changeOf(exercise.patch)
      if (answer === undefined) {
        const question = 'With this change, which of these transcripts in test/raft/golden breaks, and why?'
        print(`${number}. ${exercise.title}`, '', `${path}:${line}`, '', ...diff, '', question, '')
        print(...exercise.answers.map((name, at) => `  ${LETTERS[at]}  ${name}`))
        return print('', `Read them, and then: jepsen-lite exercise ${number} --answer LETTER`)
      }
      const name = nameOf(answer, exercise)
      const { judge } = await import('../exercises/judge.ts')
      const { isRight, failure } = await judge(exercise, name)
      print(isRight ? coloured('green', 'right') : `${coloured('red', 'wrong')}: ${name} still passes`)
      print('', `${exercise.breaks} breaks:`, '', failure.replaceAll(/^/gm, '  '), '', wrapped(exercise.why))
    })
}

const LETTERS = 'abcdefgh'

function nameOf(answer: string, { answers }: Exercise): string {
  const name = answers.find((each, at) => each === answer || LETTERS[at] === answer)
  if (name === undefined) throw new CommandError(`${answer} is no answer; there are ${answers.join(', ')}`)
  return name
}

const wrapped = (text: string): string => text.replaceAll(/(.{1,100})(?: |$)/g, '$1\n').trimEnd()

const print = (...lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`)
