// The verdict on the answers so far: the head of the clients.

import type { VerdictView } from '../../../jepsen-lite/lab/fold-views.ts'
import { Mark } from '../design/mark.tsx'
import { client } from './lab-state.ts'
import './verdict.css'
import { isJudged, VERDICT_MARKS, verdictText } from './verdict-words.ts'

export function Verdict() {
  const view = client.view.value
  if (view === undefined) return null
  const { verdict, operations } = view
  return (
    <div class="verdict">
      <p aria-live="polite">
        {isJudged(verdict) && (
          <Mark of={VERDICT_MARKS[verdict.verdict].mark} text={VERDICT_MARKS[verdict.verdict].text} />
        )}{' '}
        <span class="verdict-why">{verdictText(verdict, operations)}</span>
      </p>
      <StaleReads verdict={verdict} />
    </div>
  )
}

/** They promise nothing that linearizability demands. Judging them shows what they cost. */
function StaleReads({ verdict: { staleReads } }: { readonly verdict: VerdictView }) {
  const areJudged = client.parts.value.includes('judged-stale')
  if (staleReads.length === 0 && !areJudged) return null
  return (
    <label class="verdict-stale">
      <input
        type="checkbox"
        checked={areJudged}
        onChange={({ currentTarget }) => client.show('judged-stale', currentTarget.checked)}
      />
      Judge stale reads too, as if they promised the newest state
    </label>
  )
}
