import type { Notary } from './notary.ts'

/** A thing is checked by everybody who gets it; the result is the same each time, so it is computed once. */
export function rememberChecks(notary: Notary): Notary {
  return {
    networkId: notary.networkId,
    createSigner: (name) => notary.createSigner(name),
    checkReceipt: (receipt) => notary.checkReceipt(receipt),
    isHeadValid: remember((head) => notary.isHeadValid(head)),
    isStatementValid: remember((statement) => notary.isStatementValid(statement)),
    checkProof: remember((proof) => notary.checkProof(proof)),
  }
}

function remember<In extends object, Out>(check: (value: In) => Out): (value: In) => Out {
  const known = new WeakMap<In, { readonly result: Out }>()
  return (value) => {
    const before = known.get(value)
    if (before) return before.result
    const result = check(value)
    known.set(value, { result })
    return result
  }
}
