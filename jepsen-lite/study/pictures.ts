// The study as pictures: a strip of bars for each level on each side, and the age of stale answers as lines. All rounds
// are added together, aligned at the beginning of each phase. The pictures contain only shapes, stretched to the
// available width; all words are text of the page around them.

import { escapeHtml } from '../report/html.ts'
import { LEVELS, type Level, SIDES, type Side } from './levels.ts'
import { medianOf, PHASES, type Phase, type Request } from './measure.ts'

/** The requests of one stream in one tenth of a second, over all rounds. */
interface Bucket {
  /** Tenths of a second from the beginning of the picture. */
  readonly at: number
  readonly asked: number
  readonly answered: number
  readonly behindMs: number | undefined
  readonly claimedMs: number | undefined
}

const BUCKET_MS = 100
const STRIP_HEIGHT = 10

/** Where each phase begins in the picture, in tenths of a second, and where the last one ends. */
interface Scale {
  readonly begins: Readonly<Record<Phase, number>>
  readonly width: number
}

export function picturesOf(
  requests: readonly Request[],
  phaseMs: Readonly<Record<Phase, number>>,
  label: (level: Level) => string,
): string {
  const [before, during, after] = PHASES.map((phase) => Math.ceil(phaseMs[phase] / BUCKET_MS)) as [
    number,
    number,
    number,
  ]
  const scale = {
    begins: { before: 0, during: before, after: before + during },
    width: before + during + after,
  }
  const bucketsOf = (level: Level, side: Side): Bucket[] =>
    buckets(
      requests.filter((request) => request.level === level && request.side === side),
      scale,
    )
  const strips = SIDES.map((side) => {
    const rows = LEVELS.map((level) => stripOf(label(level), side, bucketsOf(level, side), scale))
    return `<div class="strips"><h3>Clients of the ${side}</h3>\n${rows.join('\n')}\n${axis(scale)}</div>`
  })
  return `<section class="pictures">
<h2>Answered requests, for each tenth of a second</h2>
<p class="note">The height of a bar is the fraction of the requests sent in that tenth of a second that were answered, over all rounds. A request that was sent in the partition counts as answered only if the answer came before the partition ended. No bar: no request was answered.</p>
${strips.join('\n')}
<h2>How old stale answers were</h2>
<p class="note">Medians of each tenth of a second. <span class="key behind"></span> behind: the time between the acknowledgement of the first write that the answer does not show and the sending of the read. <span class="key claimed"></span> claimed: the bound that the answer itself gave. No answer may claim less than it is behind.</p>
${SIDES.map((side) => agesOf(side, bucketsOf('stale', side), scale)).join('\n')}
</section>`
}

function buckets(requests: readonly Request[], scale: Scale): Bucket[] {
  const groups = new Map<number, Request[]>()
  for (const request of requests) {
    const at = placeOf(request, scale)
    const group = groups.get(at)
    if (group === undefined) groups.set(at, [request])
    else group.push(request)
  }
  return [...groups]
    .sort(([a], [b]) => a - b)
    .map(([at, group]) => {
      const ages = group.flatMap(({ age }) => age ?? [])
      return {
        at,
        asked: group.length,
        answered: group.filter(isAnswered).length,
        behindMs: medianOf(ages.map(({ behindMs }) => behindMs)),
        claimedMs: medianOf(ages.flatMap(({ claimedMs }) => claimedMs ?? [])),
      }
    })
}

/** A phase lasts a few milliseconds longer than planned: requests of that time count in its last tenth. */
function placeOf({ phase, round, call }: Request, { begins, width }: Scale): number {
  const from: Record<Phase, number> = { before: round.startMs, during: round.cutMs, after: round.healMs }
  const end: Record<Phase, number> = { before: begins.during, during: begins.after, after: width }
  return Math.min(begins[phase] + Math.floor((call.startMs - from[phase]) / BUCKET_MS), end[phase] - 1)
}

/** A request that was sent in the partition and answered after it was not answered in it. */
const isAnswered = ({ answeredMs, phase, round }: Request): boolean =>
  answeredMs !== undefined && (phase !== 'during' || answeredMs < round.healMs)

function stripOf(label: string, side: Side, buckets: readonly Bucket[], scale: Scale): string {
  const bars = buckets
    .map(({ at, asked, answered }) => ({ at, height: (STRIP_HEIGHT * answered) / asked }))
    .filter(({ height }) => height > 0)
    .map(({ at, height }) => `M${at} ${STRIP_HEIGHT}h1v-${short(height)}h-1z`)
  const told = `${label}, requests from clients of the ${side}: each bar is the fraction that was answered`
  return (
    `<div class="strip"><span class="label">${escapeHtml(label)}</span>` +
    `<svg viewBox="0 0 ${scale.width} ${STRIP_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(told)}">` +
    `<path class="answered" d="${bars.join('')}"/>${borders(scale, STRIP_HEIGHT)}</svg></div>`
  )
}

/** Where the partition begins and ends. */
const borders = ({ begins }: Scale, height: number): string =>
  `<path class="border" d="M${begins.during} 0v${height}M${begins.after} 0v${height}"/>`

function axis({ begins, width }: Scale): string {
  const columns = `${begins.during}fr ${begins.after - begins.during}fr ${width - begins.after}fr`
  return (
    `<div class="strip axis"><span class="label"></span><span class="phases" style="grid-template-columns: ${columns}">` +
    '<span>before</span><span>in the partition</span><span>after</span></span></div>'
  )
}

function agesOf(side: Side, buckets: readonly Bucket[], scale: Scale): string {
  const values = buckets.flatMap(({ behindMs, claimedMs }) => [behindMs ?? 0, claimedMs ?? 0])
  const most = Math.max(1_000, ...values)
  const height = 60
  const lineOf = (name: 'behind' | 'claimed', pick: (bucket: Bucket) => number | undefined): string => {
    const points = buckets.flatMap((bucket) => {
      const value = pick(bucket)
      return value === undefined ? [] : [`${bucket.at + 0.5} ${short(height * (1 - value / most))}`]
    })
    return points.length === 0 ? '' : `<path class="${name}" d="M${points.join('L')}"/>`
  }
  return (
    `<div class="strips ages"><h3>Stale reads of the ${side}</h3>` +
    `<div class="strip"><span class="label scale"><span>${(most / 1_000).toFixed(1)} s</span><span>0</span></span>` +
    `<svg viewBox="0 0 ${scale.width} ${height}" preserveAspectRatio="none" role="img" aria-label="Age of stale reads of the ${side}: the bound that they claimed, and how far behind they were">` +
    `${borders(scale, height)}${lineOf('claimed', ({ claimedMs }) => claimedMs)}${lineOf('behind', ({ behindMs }) => behindMs)}</svg></div>` +
    `${axis(scale)}</div>`
  )
}

const short = (value: number): string => String(Math.round(value * 100) / 100)

export const PICTURES_STYLE = `
.pictures h3 { margin: 0.9rem 0 0.3rem; font-size: 0.85rem; font-weight: 600; }
.note { max-width: 75rem; margin: 0.3rem 0 0.6rem; color: var(--faint); font-size: 0.85rem; }
.strips { max-width: 75rem; }
.strip { display: grid; grid-template-columns: 8.5rem 1fr; gap: 0.6rem; align-items: center; margin-bottom: 3px; }
.strip .label { color: var(--text); font-size: 0.8rem; text-align: right; }
.strip svg { display: block; width: 100%; height: 1.5rem; background: var(--raised); border: 1px solid var(--line); }
.strip svg path { vector-effect: non-scaling-stroke; }
.answered { fill: var(--read); }
.border { fill: none; stroke: var(--fault); stroke-width: 1.5; }
.ages .strip { align-items: stretch; }
.ages svg { height: 8rem; }
.behind, .claimed { fill: none; stroke-width: 2; stroke: var(--change); }
.claimed { stroke: var(--unknown); stroke-dasharray: 5 3; }
.scale { display: flex; flex-direction: column; justify-content: space-between; }
.phases { display: grid; color: var(--faint); font-size: 0.75rem; text-align: center; }
.key { display: inline-block; width: 1.6rem; margin: 0 0.2rem 0.25rem 0; border-top: 2px solid var(--change); }
.key.claimed { border-top: 2px dashed var(--unknown); }
section th, section td { overflow-wrap: normal; }
section td { white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }
.pictures h2 { margin-top: 1.5rem; font-size: 1rem; }
section > .table { margin-bottom: 0.2rem; }
@media (max-width: 600px) { .strip { grid-template-columns: 5.2rem 1fr; } .strip .label { font-size: 0.7rem; } }
`
