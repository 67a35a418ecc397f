import { referenceBackend, withBackend } from "@dfine/tensor";
import { describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import { DFINE_PRESET_NAMES } from "../config/config.ts";
import { presetConfig } from "../config/presets.ts";
import { DFineModel } from "./dfineModel.ts";

interface Listing {
  state_dict: [name: string, shape: number[], dtype: string][];
  parameters: string[];
  frozen: string[];
  deploy_state_dict: [name: string, shape: number[]][];
}

const DTYPES: Record<string, string> = { f32: "float32", i32: "int64", bool: "bool" };

describe.for(DFINE_PRESET_NAMES)("official names of %s", (preset) => {
  test("state dict, parameters and deploy form", (context) => {
    const listing = referenceJson<Listing>(`models/${preset}.json`);
    if (!listing) return context.skip(NO_PACK);
    withBackend(referenceBackend(), () => {
      using model = new DFineModel(presetConfig(preset, "coco").model);
      const state = [...model.stateDict()].map(([name, { shape, dtype }]) => [name, shape, DTYPES[dtype]]);
      expect(state).toEqual(listing.state_dict);
      const parameters = [...model.namedParameters()];
      expect(parameters.map(([name]) => name)).toEqual(listing.parameters);
      expect(parameters.filter(([, { requiresGrad }]) => !requiresGrad).map(([name]) => name)).toEqual(listing.frozen);
      model.fuse();
      const deployed = [...model.stateDict()].map(([name, { shape }]) => [name, shape]);
      expect(deployed).toEqual(listing.deploy_state_dict);
    });
  });
});
