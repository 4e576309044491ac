// The lessons of docs/learn/lessons. They are loaded when somebody wants to see them.

/** A lesson in the list. Its file is read when it is opened. */
export interface ListedLesson {
  readonly name: string
  readonly title: string
  readonly summary: string
  readonly minutes: number
  readonly text: string
}

/** The order in which they build on each other. Others follow. */
const ORDER = [
  ...['election', 'split-vote', 'log-repair', 'cut-off-leader', 'old-term', 'lost-acknowledgement'],
  ...['read-index-and-lease', 'two-majorities', 'snapshot', 'slow-disk', 'lock', 'watch', 'availability'],
  'unknown-outcome',
]

const files = import.meta.glob<Omit<ListedLesson, 'name' | 'text'>>('../../../../docs/learn/lessons/*.json', {
  eager: true,
  import: 'default',
})

const place = ({ name }: ListedLesson): number => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length)

export const LESSONS: readonly ListedLesson[] = Object.entries(files)
  .map(([path, file]) => {
    const { title, summary, minutes } = file
    return { name: path.replace(/^.*\/|\.json$/g, ''), title, summary, minutes, text: JSON.stringify(file) }
  })
  .toSorted((a, b) => place(a) - place(b) || a.title.localeCompare(b.title))
