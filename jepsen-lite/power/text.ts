// The report as text.

import type { PowerReport } from './index.ts'

export function powerText(report: PowerReport): string {
  const { outcomes, coverage, damaged } = report
  const lines = [
    `seed ${report.seed}: ${report.sessions} sessions of a node recorded, ${report.disk_events} changes and syncs of its directory`,
    `${report.cuts} moments to cut the power; ${report.states_known} states known, ${report.states} different ones opened in ${report.wall_seconds} s`,
    `syncs with both extremes before and after opened: ${report.syncs_covered} of ${report.syncs}; with all that lies between: ${report.syncs_covered_wholly}`,
    `opened ${outcomes.opened}, without a node ${outcomes.empty}, refused ${outcomes.refused}, broken ${outcomes.broken}; ${report.judged} judgements`,
    `damaged on purpose: refused ${damaged.refused}, found when read ${damaged.found}, unharmed ${damaged.unharmed}, silently less ${damaged.silent}`,
    `in the recording: ${Object.entries(coverage)
      .map(([what, times]) => `${times} ${what.replaceAll('_', ' ')}`)
      .join(', ')}`,
    ...(report.failed_session === null ? [] : [`did not reach its end: ${report.failed_session}`]),
    ...report.lacking.map((what) => `lacking in the recording: ${what}`),
    `violations: ${report.violations}${Object.entries(report.violations_by_kind)
      .filter(([, times]) => times > 0)
      .map(([kind, times]) => `, ${times} ${kind}`)
      .join('')}`,
    ...report.violation_details.flatMap(({ session, state, after, what, kept }) => [
      `  session ${session}, power cut after ${after}; ${state}:`,
      `    ${what}${kept === undefined ? '' : `\n    kept in ${kept}`}`,
    ]),
  ]
  return `${lines.join('\n')}\n`
}
