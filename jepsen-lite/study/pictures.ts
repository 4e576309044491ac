// The study as two pictures: the requests that were answered at each level on each side, and the age of stale answers.
// All rounds are added together, aligned at the beginning of each phase. Each picture is a complete SVG document with
// its words and the colours of the design for light and dark pages, so that it can stand in a Markdown file.

import { findColor } from '../report/design.ts'
import { escapeHtml } from '../report/html.ts'
import { LEVELS, type Level, type PartitionSide, SIDES } from './levels.ts'
import { computeMedian, PHASES, type Phase, type StudyRequest } from './measure.ts'

interface Pictures {
  readonly answered: string
  readonly ages: string
}

/** The requests of one stream in one tenth of a second, over all rounds. */
interface Bucket {
  /** Tenths of a second from the beginning of the picture. */
  readonly at: number
  readonly requests: number
  readonly answered: number
  readonly behindMs: number | undefined
  readonly claimedMs: number | undefined
}

const BUCKET_MS = 100

/** Where each phase begins in the picture, in tenths of a second, and where the last one ends. */
interface Scale {
  readonly begins: Readonly<Record<Phase, number>>
  readonly width: number
}

/** Sizes in units of the pictures. The charts are to the right of `left`. */
const SIZE = { width: 900, left: 132, right: 892, heading: 30, strip: 18, gap: 4, ages: 110, axis: 22 }

export function renderPictures(
  requests: readonly StudyRequest[],
  phaseMs: Readonly<Record<Phase, number>>,
  label: (level: Level) => string,
): Pictures {
  const [before, during, after] = PHASES.map((phase) => Math.ceil(phaseMs[phase] / BUCKET_MS)) as [
    number,
    number,
    number,
  ]
  const scale = {
    begins: { before: 0, during: before, after: before + during },
    width: before + during + after,
  }
  const streamBuckets = (level: Level, side: PartitionSide): Bucket[] =>
    buckets(
      requests.filter((request) => request.level === level && request.side === side),
      scale,
    )
  const strips = LEVELS.length * (SIZE.strip + SIZE.gap)
  return {
    answered: renderPicture(
      'The fraction of requests that were answered, for each tenth of a second',
      strips,
      scale,
      (side) => ({
        heading: words(4, 20, 'heading', `Clients of the ${side}`),
        chart: LEVELS.map((level, row) => {
          const top = row * (SIZE.strip + SIZE.gap)
          return renderStrip(
            label(level),
            level === 'write' ? 'written' : 'read',
            top,
            streamBuckets(level, side),
            scale,
          )
        }).join('\n'),
      }),
    ),
    ages: renderPicture(
      'How old stale answers were, and what age they claimed: medians of each tenth of a second',
      SIZE.ages,
      scale,
      (side) => ({
        heading: words(4, 20, 'heading', `Stale reads of the ${side}`) + KEY,
        chart: renderAges(streamBuckets('stale', side), scale),
      }),
    ),
  }
}

/** A chart for each side of the partition, with the phases below it. */
function renderPicture(
  title: string,
  chartHeight: number,
  scale: Scale,
  renderParts: (side: PartitionSide) => { readonly heading: string; readonly chart: string },
): string {
  const sideHeight = SIZE.heading + chartHeight + SIZE.axis
  const height = SIDES.length * sideHeight
  const sides = SIDES.map((side, place) => {
    const { heading, chart } = renderParts(side)
    return `<g transform="translate(0 ${place * sideHeight})">${heading}<g transform="translate(0 ${SIZE.heading})">
${partition(scale, chartHeight)}
${chart}
${phases(scale, chartHeight)}</g></g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 ${SIZE.width} ${height}" role="img">
<title>${escapeHtml(title)}</title>
<style>${renderStyle()}</style>
<rect class="paper" width="${SIZE.width}" height="${height}"/>
${sides.join('\n')}
</svg>
`
}

function buckets(requests: readonly StudyRequest[], scale: Scale): Bucket[] {
  return [...Map.groupBy(requests, (request) => requestPlace(request, scale))]
    .sort(([a], [b]) => a - b)
    .map(([at, group]) => {
      const ages = group.flatMap(({ age }) => age ?? [])
      return {
        at,
        requests: group.length,
        answered: group.filter(isAnswered).length,
        behindMs: computeMedian(ages.map(({ behindMs }) => behindMs)),
        claimedMs: computeMedian(ages.flatMap(({ claimedMs }) => claimedMs ?? [])),
      }
    })
}

/** A phase lasts a few milliseconds longer than planned: requests of that time count in its last tenth. */
function requestPlace({ phase, round, call }: StudyRequest, { begins, width }: Scale): number {
  const from: Record<Phase, number> = { before: round.startMs, during: round.cutMs, after: round.healMs }
  const end: Record<Phase, number> = { before: begins.during, during: begins.after, after: width }
  return Math.min(begins[phase] + Math.floor((call.startMs - from[phase]) / BUCKET_MS), end[phase] - 1)
}

/** A request that was sent in the partition and answered after it was not answered in it. */
const isAnswered = ({ answeredMs, phase, round }: StudyRequest): boolean =>
  answeredMs !== undefined && (phase !== 'during' || answeredMs < round.healMs)

const xAt = (at: number, { width }: Scale): number => SIZE.left + ((SIZE.right - SIZE.left) * at) / width

function renderStrip(
  label: string,
  kind: 'written' | 'read',
  top: number,
  buckets: readonly Bucket[],
  scale: Scale,
): string {
  const bottom = top + SIZE.strip
  const bars = groupRuns(buckets).map(({ from, to, answered }) => {
    const [x, width] = [short(xAt(from, scale)), short(xAt(to, scale) - xAt(from, scale))]
    return `M${x} ${bottom}h${width}v-${short(SIZE.strip * answered)}h-${width}z`
  })
  return (
    words(SIZE.left - 10, bottom - 5, 'label', label) +
    `<path class="line" d="M${SIZE.left} ${bottom}H${SIZE.right}"/><path class="${kind}" d="${bars.join('')}"/>`
  )
}

/** Neighbours with the same fraction of answered requests are one bar. */
function groupRuns(buckets: readonly Bucket[]): { from: number; to: number; answered: number }[] {
  const runs: { from: number; to: number; answered: number }[] = []
  for (const { at, requests, answered: count } of buckets) {
    const answered = count / requests
    const last = runs.at(-1)
    if (last?.to === at && last.answered === answered) last.to = at + 1
    else if (answered > 0) runs.push({ from: at, to: at + 1, answered })
  }
  return runs
}

function renderAges(buckets: readonly Bucket[], scale: Scale): string {
  const values = buckets.flatMap(({ behindMs, claimedMs }) => [behindMs ?? 0, claimedMs ?? 0])
  const most = Math.ceil(Math.max(1_000, ...values) / 1_000) * 1_000
  const renderAgeLine = (
    name: 'behind' | 'claimed',
    pick: (bucket: Bucket) => number | undefined,
  ): string => {
    const points = buckets.flatMap((bucket) => {
      const value = pick(bucket)
      const x = short(xAt(bucket.at + 0.5, scale))
      return value === undefined ? [] : [`${x} ${short(SIZE.ages * (1 - value / most))}`]
    })
    // A line through one point would not be visible.
    const dash = points.length === 1 ? 'h4' : ''
    return points.length === 0 ? '' : `<path class="${name}" d="M${points.join('L')}${dash}"/>`
  }
  return (
    words(SIZE.left - 10, 10, 'label', `${most / 1_000} s`) +
    words(SIZE.left - 10, SIZE.ages, 'label', '0') +
    `<path class="line" d="M${SIZE.left} 0.5H${SIZE.right}M${SIZE.left} ${SIZE.ages}H${SIZE.right}"/>` +
    renderAgeLine('claimed', ({ claimedMs }) => claimedMs) +
    renderAgeLine('behind', ({ behindMs }) => behindMs)
  )
}

/** The time of the partition is shaded. */
function partition(scale: Scale, height: number): string {
  const [from, to] = [xAt(scale.begins.during, scale), xAt(scale.begins.after, scale)]
  return `<rect class="partition" x="${short(from)}" width="${short(to - from)}" height="${height}"/>`
}

function phases(scale: Scale, top: number): string {
  const { before, during, after } = scale.begins
  const named = [
    ['before', before, during],
    ['in the partition', during, after],
    ['after', after, scale.width],
  ] as const
  return named
    .map(([name, from, to]) => {
      const label = `${name}: ${short(((to - from) * BUCKET_MS) / 1_000)} s`
      return words(short(xAt((from + to) / 2, scale)), top + 15, 'phase', label)
    })
    .join('')
}

const words = (x: number | string, y: number, name: string, text: string): string =>
  `<text class="${name}" x="${x}" y="${y}">${escapeHtml(text)}</text>`

/** Legend of the two lines in the picture of ages. */
const KEY =
  '<path class="claimed" d="M372 16h30"/>' +
  words(408, 20, 'key', 'claimed: the bound that the answer gave') +
  '<path class="behind" d="M704 16h30"/>' +
  words(740, 20, 'key', 'behind, as measured')

const short = (value: number): string => String(Math.round(value * 100) / 100)

/** Tokens of the design. */
const COLOURS = ['paper', 'ink', 'soft', 'line', 'written', 'lagging', 'fault'] as const

const colours = (theme: 'light' | 'dark'): string =>
  COLOURS.map((name) => `--${name}: ${findColor(name)[theme]};`).join(' ')

const renderStyle = (): string => `
.picture { ${colours('light')} }
@media (prefers-color-scheme: dark) { .picture { ${colours('dark')} } }
.picture text { font: 13px system-ui, 'DejaVu Sans', sans-serif; fill: var(--ink); }
.picture .heading { font-weight: 600; }
.picture .label { text-anchor: end; }
.picture .phase { text-anchor: middle; fill: var(--soft); }
.picture .key { fill: var(--soft); }
.picture .paper { fill: var(--paper); }
.picture .partition { fill: var(--fault); opacity: 0.14; }
.picture .line { fill: none; stroke: var(--line); }
.picture .written { fill: var(--written); }
.picture .read { fill: var(--ink); opacity: 0.36; }
.picture .behind, .picture .claimed { fill: none; stroke: var(--lagging); stroke-width: 2; }
.picture .claimed { stroke: var(--ink); stroke-dasharray: 6 4; }
`
