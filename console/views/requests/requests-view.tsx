import { route } from '../../frame/router.ts'
import { requests } from '../../mesh/feed.ts'
import { Empty } from '../../ui/empty.tsx'
import { RequestList } from './request-list.tsx'
import { RequestTrace } from './request-trace.tsx'

/** The latest requests of this node, and the trace of one. */
export default function RequestsView() {
  const list = [...requests.value.values()].toSorted((a, b) => (a.askedAt < b.askedAt ? 1 : -1))
  const wanted = route.value.rest
  const selectedId = wanted === '' ? list[0]?.requestId : wanted
  return (
    <>
      <div class="view-head">
        <h1>Requests</h1>
        <p class="quiet">
          Why each went where it went, and what came of it. The latest are kept until the node stops.
        </p>
      </div>
      {selectedId === undefined ? (
        <Empty title="Nothing was asked yet">
          Ask something in the <a href="#/chat">chat</a>, or through the API; it appears here by itself.
        </Empty>
      ) : (
        <div class={`split ${wanted === '' ? 'is-list' : 'is-detail'}`}>
          <RequestList list={list} selectedId={selectedId} />
          <div class="trace">
            <a class="back" href="#/requests">
              All requests
            </a>
            <RequestTrace key={selectedId} requestId={selectedId} summary={requests.value.get(selectedId)} />
          </div>
        </div>
      )}
    </>
  )
}
