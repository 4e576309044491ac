// The keys that a command names: single ones, those that begin with a prefix, or those from --start to before --end;
// and the names of queues, services and locks that keys have.

import type { Option } from '@commander-js/extra-typings'
import { shellWord } from '../../bytes/shell-word.ts'
import type { Client } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { unescapePart } from '../../recipes/key-space.ts'
import { EXIT } from '../exit-codes.ts'

interface KeyFlags {
  /** `true`: the flag stands without a value, and the argument is the prefix. */
  readonly prefix?: string | true | undefined
  /** First key, inclusive. */
  readonly start?: string | undefined
  /** First key after the range, exclusive. */
  readonly end?: string | undefined
}

/** Bounds of a range: a prefix alone, or start and end, of which one may be absent. */
export type KeyBounds =
  | { readonly prefix: string }
  | { readonly start?: string | undefined; readonly end?: string | undefined }

export const START: ConstructorParameters<typeof Option> = ['--start <key>', 'keys from this one on']
export const END: ConstructorParameters<typeof Option> = ['--end <key>', 'keys before this one']

/**
 * The range that the flags name; undefined: no flag names one. Where `--prefix` has no value, the argument is the
 * prefix. Throws if arguments and flags contradict each other.
 */
export function parseBounds(
  words: readonly string[],
  { prefix, start, end }: KeyFlags,
  command: string,
): KeyBounds | undefined {
  const see = [`See: ${PROGRAM} help ${command}`]
  const contradict = (what: string): never => {
    throw new Failure(EXIT.usage, what, see)
  }
  if (start !== undefined || end !== undefined) {
    if (prefix !== undefined) contradict('--prefix cannot be combined with --start and --end')
    if (words.length > 0) contradict(`--start and --end name the keys: '${words[0]}' is one too many`)
    if (start !== undefined && end !== undefined && Buffer.compare(Buffer.from(start), Buffer.from(end)) >= 0)
      contradict('--start must be before --end: there is no key between them')
    if (start === '' || end === '') contradict(`${start === '' ? '--start' : '--end'} must not be empty`)
    return { start, end }
  }
  if (prefix === undefined) return undefined
  const prefixes = prefix === true ? words : [prefix, ...words]
  if (prefixes.length > 1) contradict(`only one prefix at a time: '${prefixes[1]}' is one too many`)
  const [only] = prefixes
  return only === undefined ? contradict("missing prefix: '' is that of all keys") : { prefix: only }
}

/** The range in words, as the object of a sentence: "keys that begin with tmp/". */
export const boundsText = (bounds: KeyBounds): string => describeBounds(bounds, 'keys', 'keys that begin')

/** The range with the number of its keys: "1 key that begins with tmp/". */
export const countedBoundsText = (count: number, bounds: KeyBounds): string =>
  count === 1 ? describeBounds(bounds, '1 key', '1 key that begins') : `${count} ${boundsText(bounds)}`

function describeBounds(bounds: KeyBounds, keys: string, keysThatBegin: string): string {
  if ('prefix' in bounds) return `${keysThatBegin} with ${bounds.prefix}`
  const { start, end } = bounds
  if (end === undefined) return `${keys} from ${start} on`
  return start === undefined ? `${keys} before ${end}` : `${keys} from ${start} to before ${end}`
}

/** The arguments of `ls` that list the range. */
export function boundsArguments(bounds: KeyBounds): string {
  if ('prefix' in bounds) return shellWord(bounds.prefix)
  const flag = (name: string, key: string | undefined) =>
    key === undefined ? [] : [`${name} ${shellWord(key)}`]
  return [...flag('--start', bounds.start), ...flag('--end', bounds.end)].join(' ')
}

/** The names for which a recipe has keys, in their order. One request for each name, however many keys it has. */
export async function* listRecipeNames(
  client: Client,
  recipe: 'queue' | 'service' | 'lock',
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const from = recipe.length + 1
  let start = Buffer.from(`${recipe}/`)
  for (;;) {
    // `0` is the character after the slash.
    const first = client.list({ start, end: `${recipe}0`, limit: 1, keysOnly: true, signal })
    const { value: record } = await first.next()
    if (record === undefined) return
    const key = Buffer.from(record.keyBytes)
    const slash = key.indexOf('/', from)
    if (slash > from) yield Buffer.from(unescapePart(key.toString('latin1', from, slash)), 'latin1')
    start =
      slash < 0
        ? Buffer.concat([key, Uint8Array.of(0)])
        : Buffer.concat([key.subarray(0, slash), Buffer.from('0')])
  }
}
