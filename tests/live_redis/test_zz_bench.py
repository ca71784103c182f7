import time
from tests.live_redis.test_deliveries import *
async def test_bench(desk, receiver):
    lat=[]
    t0={}
    async def mark(r): lat.append(time.perf_counter()-t0[r.headers["webhook-id"]]); return web.Response()
    await desk.subscribe(receiver.url("/a", mark))
    async with desk.sending():
        await asyncio.sleep(.3)
        for prev,n in enumerate(range(100),start=-1):
            t0[f"al_{n}"]=time.perf_counter(); await desk.deliver(a_run(str(n),prev=prev)); await asyncio.sleep(.01)
        await until(lambda: no_jobs(desk),"x")
        lat.sort(); print("LAT p50 %.1f p99 %.1f ms"%(lat[50]*1e3,lat[98]*1e3))
        names=[f"b{i}" for i in range(1000)]; now=time.perf_counter()
        for n in names: t0["al_"+n]=now
        await desk.deliver(a_run(*names,prev=99)); t1=time.perf_counter()
        await until(lambda: no_jobs(desk),"x",60)
        print("take_over 1000: %.1f ms; 1000 posts %.2f s"%((t1-now)*1e3,time.perf_counter()-now))
