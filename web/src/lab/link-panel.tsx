// A link that is cut: the faults that cut it, and their ends.

import { Button } from '../design/button.tsx'
import { cutsLink, healWord } from './active-faults.ts'
import { faults, heal } from './lab-state.ts'
import { Panel } from './panel.tsx'

export function LinkPanel({ from, to }: { readonly from: string; readonly to: string }) {
  const cutting = faults.value.filter((fault) => cutsLink(fault, { from, to }))
  return (
    <Panel title={`From ${from} to ${to}`}>
      {cutting.length === 0 && <p class="dim">No fault cuts this link now.</p>}
      {cutting.map((fault) => (
        <p key={`${fault.text} ${fault.until}`}>
          {fault.text}, until {(fault.until / 1000).toFixed(2)} s.{' '}
          <Button onClick={() => heal(fault)}>{healWord(fault)}</Button>
        </p>
      ))}
    </Panel>
  )
}
