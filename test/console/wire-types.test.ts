import { expect, expectTypeOf, it } from 'vitest'
import type * as page from '../../console/api/types.ts'
import type { NodeStatus, RequestExplanation, RequestSummary } from '../../runtime/index.ts'
import type { CreditReport, ModelView, ScoreReport, ScoreRow, WorkerSummary } from '../../runtime/index.ts'
import type { PulledModel, PullProgress, SeedStatus } from '../../runtime/models/models.port.ts'

it('what the page reads is what the node answers', () => {
  expectTypeOf<NodeStatus>().toExtend<page.NodeStatus>()
  expectTypeOf<WorkerSummary>().toExtend<page.Worker>()
  expectTypeOf<RequestSummary>().toExtend<page.RequestSummary>()
  expectTypeOf<RequestExplanation>().toExtend<page.RequestWhy>()
  expectTypeOf<ScoreRow>().toExtend<page.ScoreRow>()
  expectTypeOf<ScoreReport>().toExtend<page.ScoreReport>()
  expectTypeOf<CreditReport>().toExtend<page.Credit>()
  expectTypeOf<ModelView>().toExtend<page.LibraryModel>()
  expectTypeOf<SeedStatus>().toExtend<page.MeshModels['seeds'][number]>()
  expectTypeOf<PulledModel>().toExtend<page.PulledModel>()
  expectTypeOf<PullProgress>().toExtend<page.PullProgress>()
  // The compiler is what checks it.
  expect(true).toBe(true)
})
