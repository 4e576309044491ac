// The areas of the sources that are mutated, each with the tests that must notice. Tests that start processes do not
// count, because those processes run without the mutant.

export interface Area {
  /** Path from the root of the project, as all paths here; also an argument of the command. */
  readonly path: string
  /** Globs of tests. */
  readonly tests: readonly string[]
  /** Percentage of the mutants that tests must kill. The rest leaves room for mutants that change no behaviour. */
  readonly required: number
}

/** Inner areas come first: a file belongs to the first area that contains it. */
export const AREAS: readonly Area[] = [
  { path: 'src/bytes', tests: ['test/bytes/**/*.test.ts'], required: 90 },
  { path: 'src/raft', tests: ['test/raft/**/*.test.ts'], required: 90 },
  { path: 'src/kv', tests: ['test/kv/**/*.test.ts'], required: 90 },
  { path: 'src/storage', tests: ['test/storage/**/!(*.int).test.ts'], required: 90 },
  { path: 'src/files', tests: ['test/storage/**/!(*.int).test.ts'], required: 80 },
  { path: 'src/server/http', tests: ['test/server/http/**/*.test.ts'], required: 80 },
  { path: 'src/server', tests: ['test/server/**/!(heap.long).test.ts'], required: 80 },
  { path: 'src/local/relays', tests: ['test/local/relays/**/*.test.ts'], required: 80 },
  { path: 'src/client', tests: ['test/client/**/!(*.int).test.ts'], required: 80 },
]

export interface Target {
  readonly area: Area
  /** Globs of sources. */
  readonly mutate: readonly string[]
}

/** Resolves arguments, which are areas, or folders or files in them. Without arguments, all areas. */
export function targetsOf(paths: readonly string[]): readonly Target[] {
  if (paths.length === 0) return AREAS.map((area) => ({ area, mutate: wholeOf(area) }))
  const targets = new Map<Area, string[]>()
  for (const given of paths) {
    const path = given.replace(/^\.\//, '').replace(/\/$/, '')
    const area = AREAS.find((candidate) => path === candidate.path || path.startsWith(`${candidate.path}/`))
    if (area === undefined) {
      const known = AREAS.map((candidate) => candidate.path).join(', ')
      throw new Error(`${given} is in none of the areas that are mutated: ${known}`)
    }
    const globs = path === area.path ? wholeOf(area) : [path.endsWith('.ts') ? path : `${path}/**/*.ts`]
    targets.set(area, [...(targets.get(area) ?? []), ...globs])
  }
  return [...targets].map(([area, mutate]) => ({ area, mutate }))
}

function wholeOf(area: Area): string[] {
  const inner = AREAS.filter((other) => other.path.startsWith(`${area.path}/`))
  return [`${area.path}/**/*.ts`, ...inner.map(({ path }) => `!${path}/**/*.ts`)]
}
