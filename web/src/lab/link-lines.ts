// The parts of a schedule in the fragment of a URL (jepsen-lite/lab/schedule-link.ts): its head, its lines with their
// times, and a link without the last of them.

/** An action of a person. */
export interface LinkLine {
  readonly at: number
  readonly kind: string
  readonly text: string
}

/** The seed and the cluster of a run. */
export const headOf = (link: string): string => link.split(';', 1)[0] ?? ''

/** The lines, in the order of their times. */
export function linkLines(link: string): LinkLine[] {
  const [, ...parts] = link.split(';')
  return parts
    .flatMap((text) => {
      const [, at, kind = ''] = /^(\d+):([\w-]+)/.exec(text) ?? []
      return at === undefined ? [] : [{ at: Number(at), kind, text }]
    })
    .toSorted((a, b) => a.at - b.at)
}

/** The link without its last line, and that line; undefined: it has none, or the last one is a line of `lessonRun`. */
export function withoutLastLine(
  link: string,
  lessonRun = '',
): { readonly link: string; readonly line: LinkLine } | undefined {
  const line = linkLines(link).at(-1)
  if (line === undefined || lessonRun.split(';').includes(line.text)) return undefined
  const parts = link.split(';')
  parts.splice(parts.lastIndexOf(line.text), 1)
  return { link: parts.join(';'), line }
}

const WORDS: Readonly<Record<string, string>> = {
  put: 'write',
  get: 'read',
  lease: 'read',
  stale: 'read',
  isolate: 'cut',
  'one-way': 'cut',
  deaf: 'cut',
  heal: 'healing',
  del: 'delete',
  cas: 'compare-and-set',
  create: 'put if absent',
  once: 'put with a token',
  again: 'repetition',
  'stall-disk': 'stalled disk',
  'full-disk': 'full disk',
  jump: 'jump of a clock',
  skew: 'change of a clock',
  'compact-log': 'compaction of a log',
  leases: 'change of leases',
  replace: 'replacement',
  'slow-disk': 'slow disk',
  join: 'new member',
  remove: 'removal',
  'remove-many': 'removal of members',
  release: 'release of the lock',
  'fenced-write': 'write with a fencing token',
  'stand-still': 'standstill of a client',
}

/** The action in a word or two. */
export const lineWords = ({ kind }: LinkLine): string => WORDS[kind] ?? kind
