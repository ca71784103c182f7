// Draws world.json, once: the countries of the ledger's table as SVG paths in an equal-area projection (Equal Earth),
// small ones as circles. No part of the product runs it. From a folder where these npm packages are installed:
//
//   npm install world-atlas@2 topojson-client@3 topojson-simplify@3 d3-geo@3 i18n-iso-countries@7
//   node draw_world.mjs countries.csv > world.json
//
// The shapes are Natural Earth's, 1:50,000,000, public domain. See NOTICE.md for what is drawn otherwise.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const load = createRequire(`${process.cwd()}/`);
const [topojson, simplify, geo, iso] = await Promise.all(
  ["topojson-client", "topojson-simplify", "d3-geo", "i18n-iso-countries"].map((name) => import(load.resolve(name))),
);
const atlas = load("world-atlas/countries-50m.json");

const WIDTH = 1000;
const DETAIL_STERADIAN = 2e-5; // what a bend must enclose to be kept
const ISLAND_AREA = 0.8; // below this many square units an island is left out
const SMALL_AREA = 12; // below this a country is a circle
const RADIUS = 4;
const APART = 2 * RADIUS + 0.8;
const NOT_DRAWN = new Set(["AQ"]);

const BY_NAME = { Kosovo: "XK", Somaliland: "SO", "N. Cyprus": "CY" };
const WITHOUT_SHAPE = {
  BV: [3.4, -54.4], GI: [-5.35, 36.14], TK: [-171.8, -9.2], TV: [179.2, -8.5], UM: [-169.5, 16.7],
}; // degrees east and north
// Parts of another's shape: whose, which code they have, and between which degrees they lie [west, south, east, north].
const PARTS = [
  ["FR", "GF", [-55, 2, -51, 6]], ["FR", "GP", [-62, 15.5, -60.5, 17]], ["FR", "MQ", [-61.5, 14, -60.5, 15.2]],
  ["FR", "RE", [55, -22, 56, -20]], ["FR", "YT", [44.5, -13.5, 45.5, -12]], ["NO", "SJ", [-10, 70.5, -7, 72]],
  ["NO", "SJ", [10, 74, 35, 81]], ["NL", "BQ", [-69, 11, -62, 18]], ["RU", "UA", [32, 44, 37, 46.5]],
  [undefined, "CX", [105, -11, 106, -10]], [undefined, "CC", [96, -13, 97, -11]],
];

function polygonsByCountry(codes) {
  const presimplified = simplify.presimplify(atlas, simplify.sphericalTriangleArea);
  const world = simplify.simplify(presimplified, DETAIL_STERADIAN);
  const found = new Map(codes.map((code) => [code, []]));
  for (const { id, properties, geometry } of topojson.feature(world, world.objects.countries).features) {
    const whole = BY_NAME[properties.name] ?? iso.default.numericToAlpha2(id);
    for (const polygon of geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates) {
      const [east, north] = geo.geoCentroid({ type: "Polygon", coordinates: polygon });
      const part = PARTS.find(([of, , [w, s, e, n]]) => of === whole && east > w && east < e && north > s && north < n);
      found.get(part?.[1] ?? whole)?.push(polygon);
    }
  }
  return found;
}

// Circles that would cover one another move apart, no further than they must.
function setApart(points) {
  const codes = Object.keys(points);
  for (let moved = true, round = 0; moved && round < 500; round += 1) {
    moved = false;
    for (const [place, one] of codes.entries()) {
      for (const other of codes.slice(place + 1)) {
        const [dx, dy] = [points[other][0] - points[one][0], points[other][1] - points[one][1]];
        const distance = Math.hypot(dx, dy) || 0.01;
        if (distance >= APART) continue;
        const push = (APART - distance) / 2 / distance + 1e-3;
        points[one] = [points[one][0] - dx * push, points[one][1] - dy * push];
        points[other] = [points[other][0] + dx * push, points[other][1] + dy * push];
        moved = true;
      }
    }
  }
}

const codes = readFileSync(process.argv[2], "utf8").trim().split("\n").slice(1).map((row) => row.slice(0, 2));
const countries = polygonsByCountry(codes.filter((code) => !NOT_DRAWN.has(code)));
const land = { type: "MultiPolygon", coordinates: [...countries.values()].flat() };
const projection = geo.geoEqualEarth().rotate([-11, 0]).fitWidth(WIDTH, land); // the Bering Strait is the map's edge
const path = geo.geoPath(projection).digits(1);
const [shapes, points] = [{}, {}];
for (const [code, coordinates] of countries) {
  const parts = coordinates.map((rings) => ({ type: "Polygon", coordinates: rings }));
  parts.sort((one, other) => path.area(other) - path.area(one));
  if (path.area({ type: "MultiPolygon", coordinates }) >= SMALL_AREA) {
    shapes[code] = parts.filter((part) => path.area(part) >= ISLAND_AREA).map((part) => path(part)).join("");
  } else {
    points[code] = projection(parts.length ? geo.geoCentroid(parts[0]) : WITHOUT_SHAPE[code]);
  }
}
setApart(points);
for (const code of Object.keys(points)) points[code] = points[code].map((each) => Math.round(each * 10) / 10);
const [, [, height]] = path.bounds(land);
process.stdout.write(`${JSON.stringify({ width: WIDTH, height: Math.ceil(height), radius: RADIUS, shapes, points })}\n`);
