import type { Choice, RankedReason, Reason, RejectedReason } from '../../api/types.ts'
import { many } from '../../ui/format.ts'
import { Meter } from '../../ui/meter.tsx'
import { WorkerName } from '../../ui/worker-name.tsx'
import { toGroup, toManner, toRejection, toStanding } from './words.ts'

const isRanked = (reason: Reason): reason is RankedReason => 'score' in reason
const isRejected = (reason: Reason): reason is RejectedReason => 'rejected' in reason

/** What a worker was chosen from: each candidate with every number that counted, and those that were out. */
export function ChoiceTable({ choice }: { readonly choice: Choice }) {
  const { workerId, manner, known, reasons, seed } = choice
  const ranked = reasons.filter(isRanked)
  const rejected = reasons.filter(isRejected)
  return (
    <div class="choice">
      <p>
        {workerId === null
          ? `Of ${many(known, 'known worker')} none would do.`
          : `${toManner(manner ?? '')}, of ${many(known, 'known worker')}.`}
      </p>
      {ranked.length > 0 && (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="Candidates">
          <table>
            <thead>
              <tr>
                <th scope="col">Worker</th>
                <th scope="col">Standing</th>
                <th scope="col">Score</th>
                <th scope="col">Health</th>
                <th scope="col">Response</th>
                <th scope="col">Speed</th>
                <th scope="col">Queue free</th>
                <th scope="col">Waiting</th>
              </tr>
            </thead>
            <tbody>
              {ranked.map((reason) => (
                <RankedRow key={reason.workerId} reason={reason} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {rejected.length > 0 && (
        <ul class="rejected">
          {rejected.map(({ workerId: id, rejected: reason }) => (
            <li key={id}>
              <WorkerName id={id} /> <span class="quiet">{toRejection(reason)}</span>
            </li>
          ))}
        </ul>
      )}
      <p class="quiet">
        The draw had the seed {seed}; <code>qmesh-node why --replay</code> makes it again.
      </p>
    </div>
  )
}

function RankedRow({ reason }: { readonly reason: RankedReason }) {
  const { workerId, standing, group, score, terms } = reason
  const { health, responsiveness, performance, queueAvailability, queued } = terms
  return (
    <tr class={standing === 'chosen' ? 'chosen' : ''}>
      <th scope="row">
        <WorkerName id={workerId} />
      </th>
      <td>
        {toStanding(standing)} <span class="quiet">{toGroup(group)}</span>
      </td>
      <td>{score.toFixed(3)}</td>
      <Term label="Health" value={health} />
      <Term label="Response" value={responsiveness} />
      <Term label="Speed" value={performance} />
      <Term label="Queue free" value={queueAvailability} />
      <td>{queued.toFixed(1)}</td>
    </tr>
  )
}

function Term({ label, value }: { readonly label: string; readonly value: number }) {
  return (
    <td class="term">
      <Meter label={label} value={value} max={1} tone="busy" />
      {value.toFixed(2)}
    </td>
  )
}
