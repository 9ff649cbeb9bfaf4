async def test_it(toy, house, add_site):
    print(await add_site())
    print(await toy.get("/assets"))
